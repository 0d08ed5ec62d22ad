"""A FastViT in KerasHub's tasks: trained, fused, saved and loaded, as docs/keras_hub.md says."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import tree

from keras_fastvit import fuse
from keras_fastvit.architecture.layers import Dropout, FastViTLayer
from keras_fastvit.graph.inlining import inline
from tests.hub_models import (
    ROOT,
    TASKS,
    build,
    example,
    in_one_process,
    run_example,
    small,
    trained,
)
from tests.models import images, randomize, relative_difference, run

tasks = pytest.mark.parametrize("name", in_one_process())


WITH_HUB_LAYERS = ("detector", "segmenter")
"""Tasks with layers of KerasHub's that it cannot build from a file."""


def check_same(received, expected, tolerance=1e-5) -> None:
    tree.assert_same_structure(received, expected)
    for mine, theirs in zip(tree.flatten(received), tree.flatten(expected), strict=True):
        assert relative_difference(mine, theirs) < tolerance


@tasks
def test_training_lowers_the_loss(name):
    _, losses = trained(name)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@tasks
def test_the_fused_and_the_inlined_whole_compute_the_same(name):
    task, _ = trained(name)
    x = images(2, 64, 64, 3)
    expected = run(task, x)
    fused = fuse(task)
    check_same(run(fused, x), expected)
    assert type(fused).__module__.startswith("keras.")
    assert not [x for x in fused._flatten_layers() if isinstance(x, (FastViTLayer, Dropout))]
    inlined = inline(fused)
    check_same(run(inlined, x), expected)
    for operation in [*inlined._flatten_layers(), *inlined.operations]:
        assert type(operation).__module__.startswith("keras.")


# A task that is made from a file compiles itself, so Keras finds an optimizer, but a new one.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@tasks
def test_save_and_load(name, tmp_path):
    task, _ = trained(name)
    x = images(2, 64, 64, 3)
    expected = run(task, x)
    wholes = {"task": task, "fused": fuse(task)}
    wholes["inlined"] = inline(wholes["fused"])
    if name in WITH_HUB_LAYERS:
        del wholes["fused"]  # the next test
    for kind, model in wholes.items():
        model.save(tmp_path / f"{kind}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{kind}.keras", compile=False)
        check_same(run(loaded, x), expected)
    assert type(keras.saving.load_model(tmp_path / "task.keras", compile=False)) is type(task)


@pytest.mark.single_backend
@pytest.mark.parametrize("name", in_one_process(*WITH_HUB_LAYERS))
def test_loads_with_keras_alone_once_it_is_inlined(name, tmp_path):
    fused = fuse(trained(name)[0])
    fused.save(tmp_path / "fused.keras")
    # If KerasHub can do it, the page needs no warning.
    with pytest.raises(TypeError, match="can only concatenate list"):
        keras.saving.load_model(tmp_path / "fused.keras")
    inline(fused).save(tmp_path / "inlined.keras")
    code = (
        "import keras, sys; model = keras.saving.load_model(sys.argv[1]); "
        "assert not {'keras_fastvit', 'keras_hub'} & set(sys.modules); print(model.name)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "inlined.keras")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == fused.name


@pytest.mark.xdist_group("hub_detector")
def test_decoding_what_the_fused_detector_gives_are_the_tasks_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector = randomize(build("detector"))
    # Decoding takes the exponential of a box's size, which is small after real training: random
    # weights give sizes beyond 1e17, of which rounding is pixels.
    kernel = detector.box_head.prediction_layer.kernel
    kernel.assign(kernel * 0.01)
    x = images(2, 64, 64, 3)
    names = run_example(example("Fusing, and to a phone"), detector=detector)
    assert Path("fused.keras").exists()
    names = run_example(example("Boxes"), detector=detector, fused=names["fused"], images=x)
    expected = detector.predict(x, verbose=0)
    assert expected["num_detections"].min() > 0
    tree.map_structure(
        lambda mine, theirs: np.testing.assert_allclose(np.asarray(mine), theirs, atol=1e-3),
        names["boxes"],
        expected,
    )


@pytest.mark.single_backend
def test_a_level_that_the_backbone_does_not_have_is_named():
    import keras_hub

    backbone = small(include_top=False, input_shape=(64, 64, 3))
    with pytest.raises(KeyError, match="P1"):
        keras_hub.models.RetinaNetBackbone(backbone, min_level=1, max_level=5, use_p5=False)
    with pytest.raises(KeyError, match="P6"):
        keras_hub.models.DeepLabV3Backbone(
            backbone, spatial_pyramid_pooling_key="P6", upsampling_size=8, dilation_rates=[2]
        )


@pytest.mark.single_backend
def test_every_example_is_run():
    page = (ROOT / "docs" / "keras_hub.md").read_text(encoding="utf-8")
    # The tasks', and those of fusing, exporting and boxes.
    assert page.count("```python") == len(TASKS) + 3

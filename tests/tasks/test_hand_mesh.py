"""The hand-mesh head: forward, fused, trained, saved, exported; and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fastvit
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.tasks import HandMesh, Mano, project, split_parameters
from keras_fastvit.tasks.mano_file import hand_model
from tests.models import gradients, images, randomize, relative_difference, run, tiny
from tests.tasks.test_mano import arrays


def backbone(**kwargs):
    shape = {"channels_first": (3, 32, 32)}.get(kwargs.get("data_format"), (32, 32, 3))
    return tiny(**{"include_top": False, "input_shape": shape, **kwargs})


def test_gives_the_parameters_of_each_hand():
    model = HandMesh(backbone())
    received = run(model, images(3, 32, 32, 3))
    assert received.shape == (3, 61)
    # A hand near the mean pose before it has learnt anything.
    assert np.abs(received).max() < 1
    pose, shape, camera = split_parameters(received)
    for part, columns in ((pose, slice(48)), (shape, slice(48, 58)), (camera, slice(58, 61))):
        np.testing.assert_array_equal(ops.convert_to_numpy(part), received[:, columns])


def test_pools_the_level_that_it_is_told():
    features = backbone()
    x = images(2, 32, 32, 3)
    for level, width in (("P5", 32), ("P3", 16)):
        model = randomize(HandMesh(features, level, units=7))
        assert model.get_layer("hidden").kernel.shape == (width, 7)
        pyramid = run(keras.Model(features.input, features.pyramid_outputs[level]), x)
        hidden = model.get_layer("hidden").get_weights()
        last = model.get_layer("parameters").get_weights()
        pooled = np.maximum(pyramid.mean(axis=(1, 2)) @ hidden[0] + hidden[1], 0)
        assert relative_difference(run(model, x), pooled @ last[0] + last[1]) < 1e-5


def test_either_layout_of_images_gives_the_same():
    last = randomize(HandMesh(backbone()))
    first = HandMesh(backbone(data_format="channels_first"))
    first.set_weights(last.get_weights())
    x = images(2, 32, 32, 3)
    assert relative_difference(run(first, x.transpose(0, 3, 1, 2)), run(last, x)) < 1e-5


def test_fused_it_gives_the_same():
    model = randomize(HandMesh(backbone()))
    fused = model.fuse()
    assert fused.count_params() < model.count_params()
    assert {type(layer).__module__.split(".")[0] for layer in fused.layers} == {"keras"}
    x = images(2, 32, 32, 3)
    assert relative_difference(run(fused, x), run(model, x)) < 1e-5


def test_takes_a_backbone_in_inference_form():
    features = backbone()
    before = randomize(HandMesh(features))
    after = HandMesh(keras_fastvit.fuse(features))
    for name in ("hidden", "parameters"):
        after.get_layer(name).set_weights(before.get_layer(name).get_weights())
    x = images(2, 32, 32, 3)
    assert relative_difference(run(after, x), run(before, x)) < 1e-5


def test_saves_and_loads(tmp_path):
    model = randomize(HandMesh(backbone()))
    model.save(tmp_path / "hand.keras")
    loaded = keras.saving.load_model(tmp_path / "hand.keras")
    x = images(2, 32, 32, 3)
    np.testing.assert_array_equal(run(loaded, x), run(model, x))
    assert relative_difference(run(keras_fastvit.fuse(loaded), x), run(model, x)) < 1e-5


def test_a_step_along_the_gradient_through_mano_lowers_the_loss():
    """Joints in space and in the image teach every part of the head and the backbone."""
    head = HandMesh(backbone(drop_path_rate=0.0))
    hand = Mano.from_model(hand_model(arrays()))
    pose, shape, camera = split_parameters(head.output)
    points = ops.concatenate(hand(pose, shape), axis=1)
    learner = keras.Model(head.input, [points, project(points, camera)])
    x, rng = images(4, 32, 32, 3), np.random.default_rng(0)
    solid = rng.normal(0, 0.1, (4, *points.shape[1:])).astype("float32")
    flat = rng.normal(0, 0.5, (4, points.shape[1], 2)).astype("float32")

    def loss(outputs):
        errors = [ops.subtract(y, true) for y, true in zip(outputs, (solid, flat), strict=True)]
        in_space, in_the_image = (ops.mean(ops.abs(error)) for error in errors)
        return 10 * in_space + in_the_image

    before = loss(run(learner, x, training=True))
    found = gradients(learner, x, loss)
    assert all(np.isfinite(gradient).all() for gradient in found)
    assert found[-1].shape == (61,)
    assert (found[-1] != 0).all()
    for variable, gradient in zip(learner.trainable_variables, found, strict=True):
        variable.assign(variable - 0.01 * gradient)
    assert loss(run(learner, x, training=True)) < before


def test_projects_by_a_weak_perspective():
    points = np.array([[[0.05, -0.1, 9.0], [0.0, 0.0, -3.0]], [[0.1, 0.2, 0.0], [0.0, 0.1, 0.0]]])
    camera = np.array([[0.8, 0.1, -0.2], [2.0, 0.0, 0.5]])
    received = ops.convert_to_numpy(
        project(ops.convert_to_tensor(points, "float32"), ops.convert_to_tensor(camera, "float32"))
    )
    expected = [[[0.5, -1.0], [0.1, -0.2]], [[2.0, 4.5], [0.0, 2.5]]]
    np.testing.assert_allclose(received, expected, atol=1e-6)


@pytest.mark.single_backend
def test_exports_to_int8(tmp_path):
    model = randomize(HandMesh(backbone(), units=32))
    x = images(24, 32, 32, 3)
    exported = export(model, tmp_path / "hand.tflite", quantize="int8", calibration=x)
    assert exported.output_shape == (1, 61)
    received = TFLiteModel(tmp_path / "hand.tflite").predict(x)
    assert sqnr_db(run(model, x), received) > 15


@pytest.mark.single_backend
@pytest.mark.parametrize("level", ["P1", "P6", "p5", "", None])
def test_a_level_that_does_not_exist(level):
    with pytest.raises(ValueError, match=r"must be one of.*P2, P3, P4, P5\. Received: level="):
        HandMesh(backbone(), level)


@pytest.mark.single_backend
def test_a_backbone_without_a_pyramid():
    plain = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)], name="plain")
    with pytest.raises(ValueError, match=r"none: model 'plain'.*Received: level='P5'"):
        HandMesh(plain)


@pytest.mark.single_backend
def test_other_arguments_that_cannot_be():
    with pytest.raises(ValueError, match=r"`units` must be.*Received: units=0"):
        HandMesh(backbone(), units=0)
    for shape in ((2, 58), (61,), (2, 61, 1)):
        with pytest.raises(ValueError, match=r"shape \(batch, 61\).*Received: "):
            split_parameters(np.zeros(shape, "float32"))

"""The readers of files from outside, as data: what each reads, and undamaged files to begin with.

Functions here import what they need when they are called: a process that reads labels needs no
Keras.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "0.1.0"
KEPT = ROOT / "tests" / "fixtures" / "damaged"
"""Inputs that have failed once: `NAME/FILE`, of the target of that name."""

CHEAP, WITH_MODELS = 10_000, 2_000
"""How many inputs a reader gets, and how many one that starts Keras or LiteRT each time."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: Of its table's row.
        file: What the damaged file is called; the readers go by its suffix.
        read: Reads the file at a path, in all the ways that the package does.
        seeds: Returns the contents of undamaged files.
        inputs: How many are tried.
        errors: What it is documented to raise.
        named: What a message must hold; default: the file's name.
        around: Other files of the folder: their content by name.
        starts_processes: Whether it is known to start one for each file.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    inputs: int = CHEAP
    errors: tuple[type[Exception], ...] = (ValueError,)
    named: str | None = None
    around: Callable[[], dict[str, bytes]] = field(default=dict)
    starts_processes: bool = False


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _golden(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(GOLDEN / name).read_bytes() for name in names]


# --- text, numbers -----------------------------------------------------------------------------


def _labels(path: Path) -> object:
    from keras_fastvit.images.labels import check_labels, read_labels

    names = read_labels(path)
    if names:
        check_labels(names, (1, len(names)))
    return names


def _label_seeds() -> list[bytes]:
    return [
        b"cat\ndog\nred fox\n",
        "\ufeffW\u00f6lfin\r\nB\u00e4r\r\n\u9d28".encode(),
        b"\n".join(b"%d" % i for i in range(1000)),
    ]


def _text_embeddings(path: Path) -> object:
    from keras_fastvit.clip.text_embeddings import read_text_embeddings

    return read_text_embeddings(path)


def _text_seeds() -> list[bytes]:
    rows = np.random.default_rng(0).normal(size=(3, 16))
    names = ["cat", "dog", "red fox"]
    return [
        _npz(names=names, embeddings=rows.astype("float32"), logit_scale=100.0),
        _npz(names=names, embeddings=rows.astype("float16")),
        _npz(names=names, embeddings=rows / np.linalg.norm(rows, axis=1, keepdims=True)),
    ]


def _mano(path: Path) -> object:
    from keras_fastvit.tasks.mano_file import read_mano

    return read_mano(path)


def _mano_seeds() -> list[bytes]:
    shapes = {
        **{"v_template": (4, 3), "shapedirs": (4, 3, 10), "posedirs": (4, 3, 135)},
        **{"J_regressor": (16, 4), "weights": (4, 16), "hands_mean": (45,)},
        **{"hands_components": (45, 45)},
    }
    arrays = {name: np.ones(shape, "float32") for name, shape in shapes.items()}
    tree = np.array([[2**32 - 1, *range(15)], range(16)], "uint32")
    return [_npz(**arrays, f=np.array([[0, 1, 2], [1, 2, 3]], "uint32"), kintree_table=tree)]


# --- images ------------------------------------------------------------------------------------


def _image(path: Path) -> object:
    from keras_fastvit.images.preprocessing import load_image

    return load_image(path, 32)


def _image_seeds() -> list[bytes]:
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 20, 3), dtype="uint8")
    colour = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    found = []
    for kind, image, options in (
        ("JPEG", colour, {"exif": exif}),
        ("JPEG", colour.convert("CMYK"), {"progressive": True}),
        ("PNG", colour, {"exif": exif}),
        ("PNG", colour.convert("P"), {"transparency": 3}),
        ("PNG", Image.fromarray(rng.integers(0, 2**16, (9, 8), dtype="uint16")), {}),
        ("GIF", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("WEBP", colour, {"lossless": True}),
        ("WEBP", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("AVIF", colour, {}),
        ("TIFF", colour, {"compression": "tiff_lzw"}),
        ("TIFF", colour.convert("L"), {"compression": "tiff_adobe_deflate"}),
        ("TIFF", colour.convert("RGBA"), {"compression": "packbits"}),
        ("BMP", colour.convert("P"), {}),
        ("PPM", colour, {}),
        ("JPEG2000", colour, {}),
    ):
        file = io.BytesIO()
        image.save(file, kind, **options)
        found.append(file.getvalue())
    return found


def _annotation(path: Path) -> object:
    from keras_fastvit.training.segmentation.ade20k import read_labels

    return read_labels(path)


def _annotation_seeds() -> list[bytes]:
    from PIL import Image

    labels = np.random.default_rng(0).integers(0, 151, (24, 20), dtype="uint8")
    found = []
    for image in (Image.fromarray(labels), Image.fromarray(labels).convert("P")):
        file = io.BytesIO()
        image.save(file, "PNG")
        found.append(file.getvalue())
    return found


# --- JSON --------------------------------------------------------------------------------------


def _sidecar(path: Path) -> object:
    from keras_fastvit.conversion.tflite.sidecar_schema import outputs_of, read_description

    return outputs_of(read_description(path))


def _sidecar_seeds() -> list[bytes]:
    one = (GOLDEN / "tflite" / "int8.json").read_bytes()
    several = json.loads(one)
    several["outputs"] = [several.pop("output")] * 2
    several["labels"] = None
    return [one, (GOLDEN / "tflite" / "none.json").read_bytes(), json.dumps(several).encode()]


def _run_arguments(path: Path) -> object:
    from keras_fastvit.training.run_folder import RunFolder, read_run

    undamaged = GOLDEN / "tensorflow" / "run" / path.name
    RunFolder(path.parent, json.loads(undamaged.read_bytes()))  # which has got somewhere
    return read_run(path.parent)


def _run_around() -> dict[str, bytes]:
    from tests.golden import small_variant  # noqa: F401 - adds the variant that the files name

    run = GOLDEN / "tensorflow" / "run"
    return {
        "fused.keras": b"not opened",
        "state.npz": b"",
        "data.json": (run / "data.json").read_bytes(),
    }


def _training_data(path: Path) -> object:
    from keras_fastvit.training.data.folders import read_training_data

    return read_training_data(path)


def _freihand(path: Path) -> object:
    from keras_fastvit.training.hand_mesh.freihand import find_training_hands

    return find_training_hands(path.parent)


def _freihand_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "training_xyz.json": (rng.random((2, 21, 3)) + 0.5).round(4).tolist(),
        "training_K.json": [[[480.0, 0.0, 112.0], [0.0, 480.0, 112.0], [0.0, 0.0, 1.0]]] * 2,
        "training_mano.json": rng.random((2, 1, 61)).round(4).tolist(),
    }


def _freihand_around() -> dict[str, bytes]:
    arrays = {name: json.dumps(rows).encode() for name, rows in _freihand_arrays().items()}
    return {**arrays, "training/rgb/00000000.jpg": b"", "training/rgb/00000001.jpg": b""}


def _evaluation_hands(path: Path) -> object:
    from keras_fastvit.training.hand_mesh.freihand import find_evaluation_hands

    return find_evaluation_hands(path.parent)


def _evaluation_seeds() -> list[bytes]:
    return [json.dumps(np.ones((1, 7, 3)).tolist()).encode()]


def _evaluation_around() -> dict[str, bytes]:
    joints = json.dumps(np.ones((1, 21, 3)).tolist()).encode()
    return {"evaluation_xyz.json": joints, "evaluation/rgb/00000000.jpg": b""}


def _released(path: Path) -> object:
    from keras_fastvit.conversion.commands.released_report import read_rows, to_markdown

    return to_markdown(read_rows(path, "DATA", "IMAGES"), "DATA", "IMAGES")


def _released_seeds() -> list[bytes]:
    from keras_fastvit.conversion.commands.released_report import Released

    row = Released("fastvit_t8", "imagenet", 76.2, 76.1, 75.0, 100, 1000, {"a.jpg": "broken"})
    return [json.dumps({"data": "DATA", "calibration": "IMAGES", "rows": [vars(row)]}).encode()]


# --- runs, weights, models -----------------------------------------------------------------------


@cache
def _small() -> Any:
    from keras_fastvit import FastViT
    from tests.models import SHORT, randomize

    model = FastViT(SHORT.name, classes=5, input_shape=(32, 32, 3))
    return randomize(model)


def _state(path: Path) -> object:
    from keras_fastvit.training.run_folder import RunFolder, restore

    saved = RunFolder(path.parent, {}).load()
    restore(saved, _dense(), None)
    return saved


@cache
def _dense() -> Any:
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])


def _state_seeds() -> list[bytes]:
    variables = {f"model_{i}": np.asarray(x) for i, x in enumerate(_dense().variables)}
    return [_npz(epoch=1, history=json.dumps([{"loss": 0.5, "val_top1": 0.9}]), **variables)]


def _weights(path: Path) -> object:
    import warnings

    from keras_fastvit.weights.loading import load_weights

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # which of several weights was taken
        return load_weights(_small(), path)


def _torch_state() -> dict[str, Any]:
    from keras_fastvit.weights.torch_state import to_torch_state

    return to_torch_state(_small())


def _pickle_seeds() -> list[bytes]:
    import argparse

    import torch

    state = {name: torch.from_numpy(x.copy()) for name, x in _torch_state().items()}
    averaged = {f"module.{name}": x for name, x in state.items()}
    training = {
        **{"state_dict": state, "state_dict_ema": averaged, "epoch": 3, "metric": np.float64(0.5)},
        **{"args": argparse.Namespace(model="fastvit_t8"), "optimizer": [state]},
    }
    found = []
    for content, new in ((state, True), (training, True), (state, False)):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=new)
        found.append(file.getvalue())
    return found


def _safetensors_seeds() -> list[bytes]:
    from safetensors.numpy import save

    return [save(_torch_state()), save({k: x.astype("float16") for k, x in _torch_state().items()})]


def _saved_model() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        _small().save(f"{folder}/model.keras")
        return Path(folder, "model.keras").read_bytes()


def _archived_seeds() -> list[bytes]:
    return [_saved_model()]


def _h5_seeds() -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(_saved_model())) as archive:
        return [archive.read("model.weights.h5")]


def _model(path: Path) -> object:
    from keras_fastvit.weights.model_files import read_model_file

    return read_model_file(path)


def _model_seeds() -> list[bytes]:
    from keras_fastvit import fuse
    from tests.golden import small_variant  # noqa: F401 - adds the variant that the files name
    from tests.models import SHORT

    assert SHORT
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        fuse(_small()).save(f"{folder}/fused.keras")
        fused = Path(folder, "fused.keras").read_bytes()
    return [_saved_model(), fused, *_golden("tensorflow/fused.keras")()]


# --- .tflite -------------------------------------------------------------------------------------


def _tflite(path: Path) -> object:
    from keras_fastvit.conversion.tflite.inspection import inspect

    return inspect(path)


TARGETS = (
    Target("labels", "labels.txt", _labels, _label_seeds),
    Target("text embeddings", "text.npz", _text_embeddings, _text_seeds),
    Target("MANO", "hand.npz", _mano, _mano_seeds),
    Target("images", "image.bin", _image, _image_seeds),
    Target("ADE20K annotations", "annotation.png", _annotation, _annotation_seeds),
    Target("FreiHAND joints", "training_xyz.json", _freihand,
           lambda: [_freihand_around()["training_xyz.json"]], around=_freihand_around),
    Target("FreiHAND vertices", "evaluation_verts.json", _evaluation_hands, _evaluation_seeds,
           around=_evaluation_around),
    Target("sidecars", "model.json", _sidecar, _sidecar_seeds),
    Target("evaluations of released weights", "released.json", _released, _released_seeds),
    Target("arguments of runs", "run.json", _run_arguments, _golden("tensorflow/run/run.json"),
           named="arguments_of_runs", around=_run_around),
    Target("images of runs", "data.json", _training_data, _golden("tensorflow/run/data.json")),
    Target("state of runs", "state.npz", _state, _state_seeds,
           around=lambda: {"run.json": b"{}"}),
    Target(".safetensors", "weights.safetensors", _weights, _safetensors_seeds),
    Target(".pth", "weights.pth", _weights, _pickle_seeds),
    Target(".weights.h5", "model.weights.h5", _weights, _h5_seeds, WITH_MODELS),
    Target("weights in .keras", "weights.keras", _weights, _archived_seeds, WITH_MODELS),
    Target("models in .keras", "model.keras", _model, _model_seeds, WITH_MODELS),
    Target(".tflite", "model.tflite", _tflite, _golden("tflite/none.tflite", "tflite/int8.tflite"),
           WITH_MODELS, starts_processes=True),
)  # fmt: skip

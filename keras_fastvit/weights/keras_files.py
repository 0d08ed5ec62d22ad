"""Keras' weight files: reads the weights, and nothing else, of `.weights.h5` and `.keras`."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.archives import checked_entries
from keras_fastvit.graph.keras_internals import saving_lib
from keras_fastvit.weights.file_kinds import contents, existing_file, refusal, shown
from keras_fastvit.weights.variables import HEAD, check_names, checked, weights_of

_ARCHIVED_CONFIG = "config.json"
_ARCHIVED_WEIGHTS = "model.weights.h5"


def load_keras_file(model: FastViT, path: str | os.PathLike[str]) -> None:
    """Loads a file that `save_weights` or `save` of a FastViT in training form has written.

    Strict, unlike Keras' `load_weights`; no object is deserialised, and on an error the model is
    left as it was. The state of an optimizer in the file is not used.

    Args:
        model: A FastViT in training form. Without a classifier, the file's is not used.
        path: A `.weights.h5` or `.keras` file.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the file is damaged or of another model; if a tensor is missing, left over,
            of another shape, or not finite.
    """
    path = existing_file(path)
    what = f"'{path}' for {model.variant}"
    weights = weights_of(model)
    with _opened(path, model.variant) as file:
        tensors = _tensors(file, path)
        if not any(weight.path.startswith(HEAD) for weight in weights):
            tensors = {name: t for name, t in tensors.items() if not name.startswith(HEAD)}
        check_names({weight.keras_path for weight in weights}, tensors, what)
        arrays = [checked(tensors[w.keras_path], w.keras_path, w.shape, what) for w in weights]
    for weight, array in zip(weights, arrays, strict=True):
        weight.variable.assign(array)


def save_keras_file(model: FastViT, path: str | os.PathLike[str]) -> None:
    """Writes the `.weights.h5` file that `model.save_weights` would write.

    Raises:
        OSError: If the file cannot be written, for one because the disk is full: `save_weights`
            crashes the process then, as HDF5 writes on when it is closed at exit. Here HDF5
            writes to memory.
    """
    archive = io.BytesIO()
    saving_lib.save_model(model, archive)
    with zipfile.ZipFile(archive) as file:
        Path(path).write_bytes(file.read(_ARCHIVED_WEIGHTS))


@contextmanager
def _opened(path: Path, variant: str) -> Iterator[Any]:
    """Opens the HDF5 file that is, or is in, the file at `path`."""
    import h5py

    archived = path.suffix == ".keras"
    try:
        with h5py.File(_archived_weights(path, variant) if archived else path, "r") as file:
            yield file
    except Exception as error:  # of damaged files h5py and zipfile raise almost anything
        if isinstance(error, ValueError) and str(path) in str(error):
            raise  # says already what is wrong
        expected = f"a complete {'.keras' if archived else '.weights.h5'} file"
        received = f"{contents(path)} ({shown(f'{type(error).__name__}: {error}')})"
        raise refusal(path, expected, received) from error


def _archived_weights(path: Path, variant: str) -> io.BytesIO:
    checked_entries(path)
    with zipfile.ZipFile(path) as archive:
        try:
            config = json.loads(archive.read(_ARCHIVED_CONFIG))
        except ValueError:
            config = None
        if not isinstance(config, dict):
            config = {}
        if config.get("registered_name") != "keras_fastvit>FastViT":
            expected = (
                f"a {variant} in training form (other models, the inference form among them, are "
                "loaded by `keras.saving.load_model`)"
            )
            raise refusal(path, expected, f"a model of class {config.get('class_name')!r}")
        return io.BytesIO(archive.read(_ARCHIVED_WEIGHTS))


def _tensors(file: Any, path: Path) -> dict[str, Any]:
    """Returns the model's datasets under names of `Weight.keras_path`.

    Keras numbers the layers of a class in a group's name and writes the layer's own name beside:
    `layers/mobile_one_block_1/conv_kxk/bn/vars/0` belongs to the layer named in the attributes of
    `layers/mobile_one_block_1/vars`.
    """
    import h5py
    import ml_dtypes
    import numpy as np

    names: dict[str, str] = {}
    datasets: dict[str, Any] = {}

    def visit(item_path: str, item: Any) -> None:
        parts = item_path.split("/")
        # Beside the layers there may be an optimizer.
        if parts[0] != "layers" or "seed_generator" in parts:
            return
        if isinstance(item, h5py.Dataset):
            datasets[item_path] = item
        elif parts[2:] == ["vars"]:
            names[parts[1]] = str(item.attrs.get("name", parts[1]))

    file.visititems(visit)  # leaves out links to other files
    found = {}
    for dataset_path, dataset in datasets.items():
        if dataset.is_virtual or dataset.external:
            raise refusal(path, "weights inside the file", f"'{dataset_path}' in another file")
        if dataset.attrs.get("dtype") == "bfloat16":
            dataset = np.array(dataset, dtype=ml_dtypes.bfloat16)
        _, layer, inner = dataset_path.split("/", 2)
        found[f"{names.get(layer, layer)}/{inner}"] = dataset
    return found

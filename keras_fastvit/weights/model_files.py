"""A user's own model from a `.keras` file, without trusting the file."""

import os
import zipfile
from pathlib import Path

import keras

from keras_fastvit.archives import checked_entries
from keras_fastvit.graph.keras_internals import (
    forget_variables_without_values,
    initialize_all_variables,
    values_in_a_stateless_scope,
)
from keras_fastvit.plain_text import in_short


def read_model_file(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a model of Keras' and this package's layers, in training or inference form.

    In Keras' safe mode: the file cannot run code, so it has no Lambda layers. Its optimizer and
    losses are not loaded.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the file is not a whole `.keras` file, or its model has layers or functions
            of others.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected a .keras file with a model. Received: no '{path}'")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("a folder" if path.is_dir() else f"{path.stat().st_size} other bytes")
        checked_entries(path)
        return _loaded(path)
    except Exception as error:  # Keras raises whatever its layers' code does
        # Keras repeats the innermost error at the end of each one around it.
        _, _, innermost = str(error).rpartition("Exception encountered: ")
        reason = in_short(innermost or type(error).__name__)
        raise ValueError(
            f"Cannot load a model from '{path}'. Expected a .keras file, as `model.save` writes "
            f"it, of layers of Keras and of keras_fastvit, without Lambda. Received: {reason}"
        ) from error


def _loaded(path: Path) -> keras.Model:
    """Loads a model whose variables take no memory before the file is seen to have their values.

    Keras alone would give a layer of a million by a million units its four terabytes first, and
    look then for weights of that shape.
    """
    try:
        with (
            values_in_a_stateless_scope(),
            keras.StatelessScope(initialize_variables=False) as scope,
        ):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except BaseException:
        forget_variables_without_values()
        raise
    initialize_all_variables()
    for variable in model.variables:
        value = scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)
    return model

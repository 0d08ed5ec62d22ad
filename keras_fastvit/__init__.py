"""FastViT for Keras 3."""

import importlib
from typing import Any

import lazy_loader

from keras_fastvit import moved, registration

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _public_name(name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("keras-fastvit")
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")  # a sub-package, or a moved module
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


moved.install()
registration.register_layers()

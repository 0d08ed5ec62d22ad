"""FastViT for Keras 3."""

from typing import Any

import lazy_loader

from keras_fastvit.registration import register_layers

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("keras-fastvit")
    return _public_name(name)


register_layers()

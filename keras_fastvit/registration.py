"""Keras knows the layers of this package, though importing the package does not import Keras.

`keras.models.load_model` finds a layer of ours by the name that it was registered under, so the
modules that register layers must have been imported. They need Keras, which takes seconds to
import. They are therefore imported as soon as Keras has been, whoever imports it, and before or
after this package.
"""

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = (
    "keras_fastvit.architecture.fake_quantization",
    "keras_fastvit.architecture.model",
    "keras_fastvit.tasks.hand_mesh",
    "keras_fastvit.tasks.mano",
    "keras_fastvit.tasks.segformer",
    "keras_fastvit.tasks.semantic_fpn",
)
"""The modules that register layers, themselves or through what they import."""


def register_layers() -> None:
    """Registers all layers with Keras: now if Keras has been imported, or as soon as it is."""
    if "keras" in sys.modules:
        _register_layers_now()
    else:
        sys.meta_path.insert(0, _Finder())


def _register_layers_now() -> None:
    for name in MODULES:
        importlib.import_module(name)


class _Depth(threading.local):
    value = 0


class _Finder(MetaPathFinder):
    """Registers the layers when the outermost import that brings Keras has ended.

    That import may be one of a module of ours. When Keras is there, such a module is half
    imported, and what depends on it cannot be imported yet: so the end of the import of Keras alone
    would be too early.
    """

    def __init__(self) -> None:
        self.depth = _Depth()
        self.keras_is_imported = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "keras" and not fullname.startswith("keras_fastvit."):
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)):
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    @contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """Wraps the execution of one module."""
        self.depth.value += 1
        try:
            yield
            self.keras_is_imported |= name == "keras"
        finally:
            self.depth.value -= 1
            if self.depth.value == 0 and self.keras_is_imported and self in sys.meta_path:
                sys.meta_path.remove(self)
                _register_layers_now()


class _Loader(Loader):
    """Loads a module by its own loader, under the eyes of the finder."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader = loader
        self.finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        with self.finder.importing(module.__name__):
            self.loader.exec_module(module)

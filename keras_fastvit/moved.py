"""Names that documents have shown or that users' files carry, and where they are now.

A module that has moved can be imported under its old name. Each of its names gives a
DeprecationWarning when it is first used, which says where it is now; a module that was a command
gives one when it is run with `python -m`. Remove them with release 0.3, except for `KEPT`.
"""

import importlib
import runpy
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

MODULES: dict[str, tuple[str, ...]] = {
    "keras_fastvit.blocks": ("keras_fastvit.architecture.blocks",),
    "keras_fastvit.fake_quantization": ("keras_fastvit.architecture.fake_quantization",),
    "keras_fastvit.inlining": ("keras_fastvit.graph.inlining",),
    "keras_fastvit.layers": ("keras_fastvit.architecture.layers",),
    "keras_fastvit.model": ("keras_fastvit.architecture.model",),
    "keras_fastvit.preprocessing": (
        "keras_fastvit.images.preprocessing",
        "keras_fastvit.images.normalizations",
    ),
    "keras_fastvit.pretrained": ("keras_fastvit.weights.named", "keras_fastvit.weights.loading"),
    "keras_fastvit.segformer": ("keras_fastvit.tasks.segformer",),
    "keras_fastvit.text_embeddings": ("keras_fastvit.clip.text_embeddings",),
    "keras_fastvit.variants": ("keras_fastvit.architecture.variants",),
    "keras_fastvit.conversion.export_tflite": ("keras_fastvit.conversion.exporting.export",),
    "keras_fastvit.conversion.quantization_aware": (
        "keras_fastvit.conversion.quantization.fine_tuning",
    ),
    # Packages today: their own `__getattr__` forwards.
    "keras_fastvit.conversion.lowering": ("keras_fastvit.conversion.lowering.lower",),
    "keras_fastvit.conversion.quantization": (
        "keras_fastvit.conversion.quantization.layer_by_layer",
    ),
}
"""By the name of a module: the modules where its names are now."""

KEPT = {
    "keras_fastvit.blocks",
    "keras_fastvit.fake_quantization",
    "keras_fastvit.layers",
    "keras_fastvit.model",
}
"""Moved modules that stay for ever, without a warning: pickled layers and models name them."""

COMMANDS: dict[str, str] = {
    "keras_fastvit.evaluate": "keras-fastvit evaluate",
    "keras_fastvit.training.__main__": "keras-fastvit train",
    "keras_fastvit.training.tasks.hand_mesh": "keras-fastvit train --task hand-mesh",
    "keras_fastvit.training.tasks.segmentation": "keras-fastvit train --task segmentation",
    "keras_fastvit.training.fashion_mnist": "python -m benchmarks.train_fashion_mnist",
}
"""By the name of a module that was run as `python -m NAME`: the command to write today."""


def install() -> None:
    """Makes the old names importable, where there is no module of that name today."""
    sys.meta_path.append(_Finder())


def forwarding(old: str) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a module of `MODULES` whose names are elsewhere now."""

    def __getattr__(name: str) -> Any:  # noqa: N807
        for new in MODULES[old] if not name.startswith("_") else ():
            module = importlib.import_module(new)
            if hasattr(module, name):
                value = getattr(module, name)
                if old not in KEPT:
                    place = _public_place(new, name)
                    _warn(f"`{old}.{name}` works until 0.3: it is `{place}.{name}` now")
                setattr(sys.modules[old], name, value)  # the warning is given once
                return value
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return __getattr__


def run_command(old: str, arguments: Sequence[str]) -> int:
    """Runs a command under its old name; returns its exit status.

    Args:
        old: A key of `COMMANDS`.
        arguments: The command's arguments.
    """
    shown = old.removesuffix(".__main__")
    _warn(f"`python -m {shown}` works until 0.3: write `{COMMANDS[old]}`")
    program, *words = COMMANDS[old].split()
    if program == "python":
        _, module = words
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    command_line = importlib.import_module("keras_fastvit.conversion.__main__")
    status: int = command_line.main([*words, *arguments])
    return status


def _public_place(module: str, name: str) -> str:
    """Returns the outermost package that has a name of this module among its public names."""
    parts = module.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if name in getattr(sys.modules[package], "__all__", ()):
            return package
    return module


def _warn(message: str) -> None:
    """Warns where the old name is used, however many frames of the import system lie between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals["__name__"].startswith(
        (__name__, "importlib", "keras_fastvit.registration")
    ):
        frame = frame.f_back
    assert frame is not None
    warnings.warn_explicit(
        message,
        DeprecationWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals["__name__"],
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


class _Finder(MetaPathFinder):
    """Finds modules by their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MODULES or fullname in COMMANDS:
            return ModuleSpec(fullname, _Loader(), origin="moved")
        if fullname == "keras_fastvit.training.tasks":
            return ModuleSpec(fullname, None, is_package=True)
        return None


class _Loader(InspectLoader):
    """Loads a module that forwards its names, or runs its command."""

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        if old not in MODULES:
            raise ModuleNotFoundError(f"{old} is a command: write `{COMMANDS[old]}`", name=old)
        module.__doc__ = f"Moved to {' and '.join(MODULES[old])}."
        module.__getattr__ = forwarding(old)  # type: ignore[method-assign]

    def get_source(self, fullname: str) -> str:
        """Returns what `python -m FULLNAME` runs."""
        return (
            "import sys\n"
            "from keras_fastvit.moved import run_command\n"
            f"sys.exit(run_command({fullname!r}, sys.argv[1:]))\n"
        )

"""The console script `keras-fastvit`: the commands of this package under one name.

    keras-fastvit export --help

is `python -m conversion.export_tflite --help`, and so on. A command's module, and with it Keras,
is imported when the command is run.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": (".train", "a model on a folder of images"),
    "port": (".port_weights", "weights between Keras, timm and Apple"),
    "export": (".export_tflite", "a model to a .tflite file"),
    "predict": (".predict", "the classes of images, by a model or a .tflite file"),
    "inspect": (".inspect_tflite", "what a .tflite file is made of"),
    "benchmark": (".benchmark_tflite", ".tflite files' times, side by side"),
    "evaluate": (".evaluate_tflite", ".tflite files' accuracy on a folder of images"),
    "evaluate-released": (".evaluate_released", "released weights' accuracy on ImageNet"),
}
"""By name: the module whose `main` runs the command, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keras-fastvit",
        description="FastViT: from a PyTorch checkpoint to a file for the phone.",
        epilog="commands:\n"
        + "".join(f"  {name:17} {summary}\n" for name, (_, summary) in COMMANDS.items())
        + "\n`keras-fastvit COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own")
    args = parser.parse_args(argv)
    module, _ = COMMANDS[args.command]
    sys.argv[0] = f"keras-fastvit {args.command}"  # for the command's own messages
    status: int = importlib.import_module(module, __package__).main(args.arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())

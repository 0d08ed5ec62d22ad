"""The training command with the tests' small variant, as a process of its own to be killed.

    python -m tests.training.training_command [--kill-while-writing N] ARGUMENTS

With the option the process kills itself in the middle of writing the state after its Nth epoch.
"""

import os
import signal
import sys
from typing import Any

import tests.models  # noqa: F401  # "fastvit_tiny" is then a variant
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.training import run_folder


def kill_while_writing(nth: int) -> None:
    savez, calls = run_folder.np.savez, []

    def half(file: Any, **arrays: Any) -> None:
        calls.append(file)
        if len(calls) == nth:
            savez(file, **dict(list(arrays.items())[: len(arrays) // 2]))
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        savez(file, **arrays)

    run_folder.np.savez = half


if __name__ == "__main__":
    # Tests that are a shell's background job hand down that the signal is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = sys.argv[1:]
    if arguments[0] == "--kill-while-writing":
        kill_while_writing(int(arguments[1]))
        arguments = arguments[2:]
    sys.exit(main(["train", *arguments]))

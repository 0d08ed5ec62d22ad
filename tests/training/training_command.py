"""The training command with the tests' small variant, as a process of its own to be killed.

    python -m tests.training.training_command [--kill-while-writing N | --endless-step] ARGUMENTS

With the first option the process kills itself in the middle of writing the state after its Nth
epoch. With the second its first step never ends, and says so.
"""

import ctypes
import os
import signal
import sys
from typing import Any

import tests.models  # noqa: F401  # "fastvit_pair" is then a variant
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.training import callbacks, run_folder


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


def never_end_a_step() -> None:
    """Stays in native code, where Python's handlers of signals do not run, as a compiler does."""

    def wait(self: Any, batch: int, logs: Any = None) -> None:
        print("an endless step", flush=True)
        libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)

    callbacks.Steps.on_train_batch_begin = wait  # type: ignore[method-assign]


if __name__ == "__main__":
    # Tests that are a shell's background job hand down that the signal is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = sys.argv[1:]
    if arguments[0] == "--kill-while-writing":
        kill_while_writing(int(arguments[1]))
        arguments = arguments[2:]
    elif arguments[0] == "--endless-step":
        never_end_a_step()
        arguments = arguments[1:]
    sys.exit(main(["train", *arguments]))

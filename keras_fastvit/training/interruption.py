"""Ctrl-C during a training: it is answered at once, and nothing that was kept is lost."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import keras
from rich.console import Console

ANSWER = "stopping after this step; press Ctrl-C again to stop now"

_at_second_press: Callable[[], None] | None = None


@contextmanager
def at_second_press(action: Callable[[], None]) -> Iterator[None]:
    """Within it, a second Ctrl-C during a training calls a function, in another thread.

    Elsewhere it raises `KeyboardInterrupt`, for which native code must return first: where JAX
    compiles, that takes minutes. A program that has nothing to lose can end the process instead.

    Args:
        action: What to call.
    """
    global _at_second_press
    _at_second_press = action
    try:
        yield
    finally:
        _at_second_press = None


class Interruption(keras.callbacks.Callback):
    """Ends a training or a prediction after the step in which Ctrl-C was pressed.

    As a context manager it takes over the signal. Python's own handler raises `KeyboardInterrupt`
    wherever the main thread is. Where that is the callback that JAX has in every garbage
    collection, Python prints the exception and goes on.

    Pressed a second time, Ctrl-C does what it does without this, or what `at_second_press` says.

    Args:
        console: Where the first Ctrl-C is answered; None for nowhere.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
    """

    async_safe = True  # for Keras: no step waits for it

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console
        self._pressed = False
        self._watcher: _Watcher | None = None

    def __enter__(self) -> Self:
        # Python lets only its main thread handle signals. Where Ctrl-C is ignored, as in jobs in
        # the background, or another's, it stays so.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._watcher = _Watcher(self._answer)
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watcher is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._watcher.close()
        if kind is None:
            self._raise()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise()

    def _press(self, number: int, frame: Any) -> None:
        self._pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _answer(self, presses: int) -> None:
        if presses == 1 and self._console is not None:
            self._console.print(ANSWER)
        elif presses == 2 and _at_second_press is not None:
            _at_second_press()

    def _raise(self) -> None:
        if self._pressed:
            raise KeyboardInterrupt


class _Watcher:
    """A thread that hears of Ctrl-C at once.

    Python's handlers wait until the main thread is back from native code, which may compile or
    compute a step for minutes. A byte that Python writes when the signal arrives does not.

    Args:
        answer: Called with how often Ctrl-C has been pressed, each time that it is.
    """

    def __init__(self, answer: Callable[[int], None]) -> None:
        self._answer = answer
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, after it has answered what was pressed before."""
        signal.set_wakeup_fd(self._before)
        self._sender.close()
        self._thread.join()
        self._receiver.close()

    def _watch(self) -> None:
        presses = 0
        while number := self._receiver.recv(1):
            if number[0] == signal.SIGINT:
                presses += 1
                self._answer(presses)

"""Ctrl-C during a training, which is not lost."""

import signal
import threading
from types import TracebackType
from typing import Any, Self

import keras


class Interruption(keras.callbacks.Callback):
    """Ends a training or a prediction after the step in which Ctrl-C was pressed.

    As a context manager it takes over the signal. Python's own handler raises `KeyboardInterrupt`
    wherever the main thread is. Where that is the callback that JAX has in every garbage
    collection, Python prints the exception and goes on. Pressed a second time, Ctrl-C does what it
    does without this.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
    """

    async_safe = True  # for Keras: no step waits for it

    def __init__(self) -> None:
        super().__init__()
        self._pressed = False

    def __enter__(self) -> Self:
        # Python lets only its main thread handle signals. Where Ctrl-C is ignored, as in jobs in
        # the background, or another's, it stays so.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if signal.getsignal(signal.SIGINT) == self._press:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self._raise()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise()

    def _press(self, number: int, frame: Any) -> None:
        self._pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _raise(self) -> None:
        if self._pressed:
            raise KeyboardInterrupt

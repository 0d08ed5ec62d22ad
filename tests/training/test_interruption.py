"""Ctrl-C ends a training and a prediction after the step in which it was pressed."""

import ctypes
import io
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_fastvit.training.interruption import ANSWER, Interruption, at_second_press

X = np.zeros((8, 2), "float32")


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C in the middle of the third step, and counts the steps that end."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2:
            press(self)

    on_predict_batch_begin = on_train_batch_begin

    def on_train_batch_end(self, batch, logs=None):
        self.ended += 1

    on_predict_batch_end = on_train_batch_end


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """Tests that are a shell's background job are handed that Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press(_) -> None:
    signal.raise_signal(signal.SIGINT)


def during(*actions):
    """Does them while Ctrl-C is handled."""
    with Interruption() as interruption:
        for action in actions:
            action(interruption)


@pytest.mark.parametrize("way", ["fit", "predict"])
def test_the_step_is_the_last(way):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    in_the_third, before = Press(), signal.getsignal(signal.SIGINT)
    arguments = (X, X[:, :1]) if way == "fit" else (X,)

    def run(interruption):
        callbacks = [in_the_third, interruption]
        getattr(model, way)(*arguments, batch_size=1, verbose=0, callbacks=callbacks)

    with pytest.raises(KeyboardInterrupt):
        during(run)
    assert in_the_third.ended == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.single_backend
def test_pressed_twice_it_does_not_wait():
    with pytest.raises(KeyboardInterrupt):
        during(press, press, lambda _: pytest.fail("This is not reached."))


@pytest.mark.single_backend
def test_pressed_between_steps_it_is_not_lost():
    with pytest.raises(KeyboardInterrupt):
        during(press)


@pytest.mark.single_backend
def test_an_error_is_told_not_the_interruption():
    with pytest.raises(ZeroDivisionError):
        during(press, lambda _: 1 / 0)


@pytest.mark.single_backend
def test_where_it_is_ignored_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    during(press)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.single_backend
def test_in_another_thread_it_is_left_alone():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(during).result()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.single_backend
@pytest.mark.skipif(sys.platform != "linux", reason="mutexes of glibc")
def test_it_is_answered_while_native_code_runs():
    """The main thread waits for a mutex, where Python's handlers do not run, until the answer."""
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)

    class Screen(io.StringIO):
        def flush(self):
            if ANSWER in self.getvalue():
                libc.pthread_mutex_unlock(mutex)

    screen = Screen()
    never = threading.Timer(300, libc.pthread_mutex_unlock, [mutex])  # a failure, not a hang
    never.start()

    def wait_for_the_answer():
        with ThreadPoolExecutor(1) as pool, Interruption(Console(file=screen)):
            libc.pthread_mutex_lock(mutex)
            pool.submit(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            libc.pthread_mutex_lock(mutex)

    with pytest.raises(KeyboardInterrupt):
        wait_for_the_answer()
    assert never.is_alive()
    never.cancel()
    assert screen.getvalue() == f"{ANSWER}\n"


@pytest.mark.single_backend
def test_a_program_says_what_the_second_press_does():
    called = threading.Event()
    with at_second_press(called.set), pytest.raises(KeyboardInterrupt):
        during(press, press)
    assert called.is_set()


@pytest.mark.single_backend
def test_the_one_who_listened_before_listens_again():
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with pytest.raises(KeyboardInterrupt):
        during(press)
    after = signal.set_wakeup_fd(before)
    assert after == before

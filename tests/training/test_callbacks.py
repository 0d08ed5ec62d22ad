"""Progress of a training, without a terminal."""

import io
import re

import keras
import pytest
from rich.console import Console

from keras_fastvit.progress import Progress
from keras_fastvit.training.callbacks import COMPILING, Steps

pytestmark = pytest.mark.single_backend


class Batches:
    batch_size = 8

    def __len__(self) -> int:
        return 4


def lines(monkeypatch: pytest.MonkeyPatch, backend: str) -> list[str]:
    """What is printed of the second and third epoch of three, of four steps of 20 seconds each."""
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    now, written = 0.0, io.StringIO()
    with Progress(Console(file=written, width=200), clock=lambda: now) as progress:
        steps = Steps(progress, epochs=3, done=1, batches=Batches())
        steps.on_train_begin()
        for epoch in (1, 2):
            steps.on_epoch_begin(epoch)
            for batch in range(4):
                steps.on_train_batch_begin(batch)
                now += 20 if now else 1000  # the first one is compiled
                steps.on_train_batch_end(batch, {"loss": 1.5 - 0.1 * batch})
    return written.getvalue().splitlines()


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_first_step_is_announced(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    found = lines(monkeypatch, backend)
    assert found[0] == COMPILING
    assert found.count(COMPILING) == 1


def test_torch_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    assert COMPILING not in lines(monkeypatch, "torch")


def test_lines_say_where_it_is_and_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [re.sub(r"[\d.]+ images/s", "N images/s", x) for x in lines(monkeypatch, "torch")]
    assert found == [
        "epoch 2 of 3, step 2 of 4, loss 1.400, N images/s: 1 of 7 (14%), about 2 min 0 s left",
        "epoch 2 of 3, step 3 of 4, loss 1.300, N images/s: 2 of 7 (29%), about 1 min 40 s left",
        "epoch 2 of 3, step 4 of 4, loss 1.200, N images/s: 3 of 7 (43%), about 1 min 20 s left",
        "epoch 3 of 3, step 1 of 4, loss 1.500, N images/s: 4 of 7 (57%), about 1 min 0 s left",
        "epoch 3 of 3, step 2 of 4, loss 1.400, N images/s: 5 of 7 (71%), about 40 s left",
        "epoch 3 of 3, step 3 of 4, loss 1.300, N images/s: 6 of 7 (86%), about 20 s left",
        "epoch 3 of 3, step 4 of 4, loss 1.200, N images/s: 7 of 7 (100%)",
    ]


def test_a_loss_that_is_not_finite_ends_it() -> None:
    steps = Steps(Progress(Console(quiet=True)), epochs=3, done=1, batches=Batches())
    with pytest.raises(FloatingPointError, match="loss=nan in epoch 2, step 3"):
        steps.on_train_batch_end(2, {"loss": float("nan")})

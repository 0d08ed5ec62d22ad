"""KerasHub's tasks on a small FastViT, as the examples of docs/keras_hub.md make them."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_fastvit
from keras_fastvit import FastViT
from tests.models import BACKEND, TINY, added, images, randomize

ROOT = Path(__file__).resolve().parents[1]

# SegFormer names layers after the stages' widths.
WIDENING = added(replace(TINY, name="fastvit_widening", widths=(8, 16, 32, 64)))

TASKS = {
    "classifier": "Classification",
    "detector": "Detection",
    "segmenter": "Segmentation: DeepLabV3+",
    "segmenter_2": "Segmentation: SegFormer",
}
"""By the name that a task has in its example, the heading over that."""


def in_one_process(*names: str) -> list[Any]:
    """Tasks, by default all, as parameters of tests, which share what is cached below."""
    marks = {name: [pytest.mark.xdist_group(f"hub_{name}")] for name in names or TASKS}
    if "segmenter_2" in marks:  # on every backend there is a segmenter already
        marks["segmenter_2"].append(pytest.mark.single_backend)
    return [pytest.param(name, marks=marks[name]) for name in marks]


def small(**kwargs: Any) -> FastViT:
    """What the examples get for a FastViT-T8."""
    return randomize(FastViT(WIDENING.name, **kwargs))


def example(heading: str, number: int = 0) -> str:
    """A block of code below a heading, for images 64 pixels square."""
    page = (ROOT / "docs" / "keras_hub.md").read_text(encoding="utf-8")
    _, found, section = page.partition(f"# {heading}\n")
    assert found
    block = section.split("```python\n")[1 + number].split("```")[0]
    return block.replace("256, 256", "64, 64")


def run_example(code: str, **names: Any) -> dict[str, Any]:
    """Runs code that knows these names, and returns all that it then knows."""
    import keras_hub

    names = {"keras": keras, "keras_hub": keras_hub, "FastViTT8": small, **names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_fastvit, "FastViTT8", small)
        exec(code, names)
    return names


def build(task: str) -> Any:
    """The task that an example makes."""
    return run_example(example(TASKS[task]))[task]


LABELS: dict[str, Any] = {
    "classifier": np.array([0, 2]),
    "detector": {
        "boxes": np.array([[[8, 8, 30, 40]], [[20, 10, 60, 50]]], "float32"),
        "labels": np.array([[0], [2]]),
    },
    # Three bands of columns.
    "segmenter": np.tile(np.eye(3, dtype="float32")[np.arange(64) // 22], (2, 64, 1, 1)),
}
LABELS["segmenter_2"] = LABELS["segmenter"]


@cache
def trained(task: str) -> tuple[Any, list[float]]:
    """A task that was fitted to two images with its own loss, and the losses on the way."""
    model = build(task)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3 if task != "detector" else 1e-4),
        # For a few steps TensorFlow's graph takes longer to make than it saves; JAX needs its own.
        run_eagerly=BACKEND == "tensorflow",
    )
    history = model.fit(
        images(2, 64, 64, 3), LABELS[task], batch_size=2, epochs=4, shuffle=False, verbose=0
    )
    return model, history.history["loss"]

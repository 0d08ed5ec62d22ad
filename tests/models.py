"""Small models of known weights, and ways to run any model that are quick on every backend."""

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops, tree

# Its table is made of the released variants: imported before tests add theirs.
import keras_fastvit.weights.named  # noqa: F401
from keras_fastvit import FastViT
from keras_fastvit.architecture.variants import ATTENTION, REPMIXER, VARIANTS, Variant

BACKEND = keras.backend.backend()
DATA_FORMATS = ("channels_last", "channels_first")

RELEASED = tuple(VARIANTS)
"""The variants' names without those that tests add."""


def added(row: Variant) -> Variant:
    """Adds a variant to the table, so that tests call it by its name, like the others."""
    return VARIANTS.setdefault(row.name, row)


# Both kinds of stages and blocks, a downsampling that keeps the number of channels, and two
# blocks in a stage, at a hundredth of T8's size.
TINY = added(
    Variant(
        name="fastvit_tiny",
        layers=(1, 1, 2, 1),
        widths=(8, 16, 32, 32),
        mlp_ratio=2,
        token_mixers=(REPMIXER, REPMIXER, REPMIXER, ATTENTION),
        drop_path_rate=0.1,
        drop_path_rate_distilled=0.0,
        layer_scale_init_value=0.1,
        crop_pct=0.9,
        top1=0.0,
        top1_distilled=0.0,
    )
)

# One stage: it has a layer of each kind that Keras can quantise or give LoRA, and few of them.
SHORT = added(
    replace(
        TINY,
        name="fastvit_short",
        layers=(1,),
        widths=(32,),
        token_mixers=(ATTENTION,),
        drop_path_rate=0.0,
    )
)


# Both kinds of blocks, with drop path: to train, TensorFlow traces a step of it in a third of the
# time of a TINY's.
PAIR = added(
    replace(
        TINY,
        name="fastvit_pair",
        layers=(1, 1),
        widths=(16, 32),
        token_mixers=(REPMIXER, ATTENTION),
    )
)


LARGEST = ("fastvit_mci3", "fastvit_mci4")


def at_full_width(names: Iterable[str]) -> list[Any]:
    """Variants as parameters of tests that build them whole: one process a variant.

    The largest, whose tests take up to 4.3 and 8.4 GiB, share one, so never run at the same time.
    """
    groups = {name: "+".join(LARGEST) if name in LARGEST else name for name in names}
    return [pytest.param(name, marks=pytest.mark.xdist_group(groups[name])) for name in names]


def tiny(variant: str = TINY.name, **kwargs: Any) -> FastViT:
    """A TINY or other variant with logits of five classes and random weights, for 64×64 pixels."""
    last = kwargs.get("data_format") != "channels_first"
    defaults = {"classes": 5, "classifier_activation": None}
    if "input_tensor" not in kwargs:
        defaults["input_shape"] = (64, 64, 3) if last else (3, 64, 64)
    return randomize(FastViT(variant, **{**defaults, **kwargs}))


def images(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed float32 values of that shape, `(2, 64, 64, 3)` by default."""
    return np.random.default_rng(seed).normal(size=shape or (2, 64, 64, 3)).astype("float32")


def randomize(layer: Any, seed: int = 0) -> Any:
    """Gives every weight of a layer or model a value that its outputs depend on.

    Such as training leaves behind: statistics that have moved, scales of either sign, biases
    that are not zero. Kernels keep the size of the activations.
    """
    rng = np.random.default_rng(seed)
    for sublayer in layer._flatten_layers():
        depthwise = isinstance(sublayer, keras.layers.DepthwiseConv2D)
        for variable in sublayer._trainable_variables + sublayer._non_trainable_variables:
            shape, name = tuple(variable.shape), variable.name
            if name == "moving_variance":
                value = rng.uniform(0.5, 1.5, shape)
            elif name == "gamma":
                value = rng.uniform(0.5, 1.0, shape) * rng.choice([-1, 1], shape)
            elif name in ("beta", "bias", "moving_mean"):
                value = rng.normal(0, 0.3, shape)
            elif name == "kernel":
                fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
                value = rng.normal(0, fan_in**-0.5, shape)
            else:
                continue  # Not a weight that FastViT has.
            variable.assign(value)
    return layer


def run(layer: Any, inputs: Any, training: bool = False) -> Any:
    """Calls a layer or model, on JAX as one compiled program; returns NumPy arrays.

    Op by op, JAX compiles a program for every shape an op meets: minutes for a large model.
    """
    if BACKEND == "jax":
        trainable = [v.value for v in layer.trainable_variables]
        non_trainable = [v.value for v in layer.non_trainable_variables]
        outputs, state = _compiled(layer, training)(trainable, non_trainable, inputs)
        if training:
            for variable, value in zip(layer.non_trainable_variables, state, strict=True):
                variable.assign(value)
    elif BACKEND == "torch":
        import torch

        with torch.no_grad():
            outputs = layer(inputs, training=training)
    else:
        outputs = layer(inputs, training=training)
    return tree.map_structure(ops.convert_to_numpy, outputs)


_programs: weakref.WeakKeyDictionary[Any, dict[bool, Any]] = weakref.WeakKeyDictionary()


def _compiled(layer: Any, training: bool) -> Callable[..., Any]:
    import jax

    programs = _programs.setdefault(layer, {})
    if training not in programs:
        reference = weakref.ref(layer)  # The program must not keep its layer alive.
        # Unlike a call, `stateless_call` does not drop what a layer does not take.
        mode = {"training": training} if layer._call_has_training_arg else {}
        programs[training] = jax.jit(
            lambda trainable, non_trainable, inputs: reference().stateless_call(
                trainable, non_trainable, inputs, **mode
            )
        )
    return programs[training]


def gradients(model: Any, inputs: Any, loss: Callable[[Any], Any]) -> list[np.ndarray | None]:
    """The gradient of `loss(model(inputs, training=True))` for each trainable variable."""
    variables = model.trainable_variables
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss(model(inputs, training=True))
        found = tape.gradient(value, [v.value for v in variables])
    elif BACKEND == "torch":
        model.zero_grad()
        loss(model(inputs, training=True)).backward()
        found = [v.value.grad for v in variables]
    else:
        import jax

        non_trainable = [v.value for v in model.non_trainable_variables]

        def stateless_loss(trainable: Any) -> Any:
            outputs, _ = model.stateless_call(trainable, non_trainable, inputs, training=True)
            return loss(outputs)

        found = jax.jit(jax.grad(stateless_loss))([v.value for v in variables])
    return [None if g is None else ops.convert_to_numpy(g) for g in found]


def relative_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """`max|actual - expected| / max|expected|`; NaN, below no bound, where either has one."""
    assert actual.shape == expected.shape
    actual, expected = actual.astype("float64"), expected.astype("float64")
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def chance_of_difference(right: np.ndarray, other: np.ndarray) -> float:
    """How likely two equally good classifiers differ in accuracy as much as these, or more.

    The sign test: of `n` images that one alone has right, the share of either is half, with a
    spread of `sqrt(n) / 2`. Images that both have right or wrong do not tell.

    Args:
        right: Whether one has each image right, bool `(images,)`.
        other: The same of the other.
    """
    one, two = (int(np.count_nonzero(x)) for x in (right & ~other, other & ~right))
    tail = sum(math.comb(one + two, k) for k in range(min(one, two) + 1)) / 2 ** (one + two)
    return min(2 * tail, 1.0)


def count(variables: Any) -> int:
    """The number of values in variables."""
    return sum(int(np.prod(variable.shape)) for variable in variables)

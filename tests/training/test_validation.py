"""Measures of a model while it is trained."""

import keras
import numpy as np
import pytest

from keras_fastvit.training.validation import averaged_weights


@pytest.mark.single_backend
@pytest.mark.parametrize("scaled", [False, True])
def test_the_average_is_taken_behind_a_scaled_loss_too(scaled: bool) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.set_weights([np.zeros((2, 1))])
    scale = optimizer.initial_scale if scaled else 1.0
    for _ in range(2):  # the average begins with the first step's weights
        optimizer.apply([scale * keras.ops.ones((2, 1))], model.trainable_variables)
    with averaged_weights(model, optimizer):
        np.testing.assert_allclose(model.get_weights()[0], np.full((2, 1), -1.25))
    np.testing.assert_allclose(model.get_weights()[0], np.full((2, 1), -2.0))

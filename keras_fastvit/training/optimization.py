"""AdamW for a phase of a recipe: its schedule, its weight decay, its moving average."""

import keras

from keras_fastvit.training.recipes import Phase, Recipe

WARMUP_START = 1e-6
"""Learning rate of the first step of a warm-up."""

EMA_SPANS = 10
"""Least length of a training, in spans of its moving average."""


def schedule(
    phase: Phase, steps_per_epoch: int, final_share: float
) -> keras.optimizers.schedules.CosineDecay:
    """Returns the learning rate by step: a linear warm-up, then a cosine decay to the end.

    Args:
        phase: A phase of the recipe.
        steps_per_epoch: Number of steps in an epoch.
        final_share: Learning rate at the end as a share of the peak.
    """
    warmup = round(phase.warmup_epochs * steps_per_epoch)
    return keras.optimizers.schedules.CosineDecay(
        min(WARMUP_START, phase.learning_rate) if warmup else phase.learning_rate,
        decay_steps=max(phase.epochs * steps_per_epoch - warmup, 1),
        alpha=final_share,
        warmup_target=phase.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def ema_momentum(recipe: Recipe, steps: int) -> float | None:
    """Returns the momentum of the weights' moving average, or None if there is none.

    The recipe's, but in a short training no more than lets the average span a tenth of it:
    otherwise it would be little more than the weights that the training started from.

    Args:
        recipe: Recipe of the training.
        steps: Number of steps of the training.

    >>> from keras_fastvit.training.recipes import RECIPES
    >>> ema_momentum(RECIPES["paper"], 375_000), ema_momentum(RECIPES["paper"], 200)
    (0.9995, 0.95)
    """
    if recipe.ema_momentum is None:
        return None
    return min(recipe.ema_momentum, max(1 - EMA_SPANS / steps, 0.0))


def optimizer(
    recipe: Recipe, phase: Phase, steps_per_epoch: int, model: keras.Model
) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a phase, built for a model.

    Weight decay shrinks kernels only: of a scale, a shift or a bias it would shrink what the
    layer computes, not how complex that is.

    Args:
        recipe: Recipe of the training.
        phase: One of its phases; the model's layers are frozen as it says.
        steps_per_epoch: Number of steps in an epoch.
        model: Model to train.
    """
    momentum = ema_momentum(recipe, phase.epochs * steps_per_epoch)
    adamw = keras.optimizers.AdamW(
        schedule(phase, steps_per_epoch, recipe.final_share),
        weight_decay=recipe.weight_decay,
        use_ema=momentum is not None,
        ema_momentum=momentum or 0.0,
    )
    variables = model.trainable_variables
    adamw.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    adamw.build(variables)
    return adamw

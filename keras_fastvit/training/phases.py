"""The phases of a recipe, one `fit` each, from wherever the run stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from rich.console import Console

from keras_fastvit.progress import Progress
from keras_fastvit.training.callbacks import Steps, ValidatedEpochEnds
from keras_fastvit.training.data.pipeline import Batches, TrainingBatches, ValidationBatches
from keras_fastvit.training.distillation import Distillation
from keras_fastvit.training.interruption import Interruption
from keras_fastvit.training.optimization import optimizer
from keras_fastvit.training.recipes import Phase, Recipe
from keras_fastvit.training.run_folder import RunFolder, Saved, restore

HEAD = "head"
"""Name of a FastViT's classifier."""


def fit_phases(
    model: keras.Model,
    teacher: keras.Model | None,
    recipe: Recipe,
    batches: TrainingBatches,
    validation: ValidationBatches,
    folder: RunFolder,
    saved: Saved,
    console: Console,
) -> keras.Model:
    """Trains a model; at the end it has the weights to keep: averaged, if the recipe says so.

    Args:
        model: FastViT that gives logits, with the weights that training starts from.
        teacher: For distillation, or None.
        recipe: How to train.
        batches: Batches to train on.
        validation: Batches to validate with.
        folder: Where the state after each epoch is kept.
        saved: The state to go on from; its history is continued.
        console: Where progress is shown.

    Returns:
        A compiled model with the same answers, for `predict`.

    Raises:
        OSError: If an image is gone, or the state cannot be written.
        ValueError: If an image is damaged, or the state is another run's.
        FloatingPointError: If the loss becomes infinite or NaN.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.
    """
    done = 0
    with (
        Progress(console) as progress,
        _explained(batches, validation, folder, saved),
        Interruption(console) as interruption,
    ):
        steps = Steps(progress, recipe.epochs, saved.epoch, batches)
        ends = ValidatedEpochEnds(
            folder, model, batches, validation, saved.history, console, interruption
        )
        for phase in recipe.phases:
            end = done + phase.epochs
            # The phase before the one to go on with is passed through too, if its last epoch is
            # the last thing that was kept: `fit` ends it without training.
            if saved.epoch <= end:
                trained = _compiled(model, teacher, recipe, phase, len(batches))
                if done < saved.epoch:
                    restore(saved, model, trained.optimizer)
                batches.epoch = first = max(done, saved.epoch)
                trained.fit(
                    batches,
                    epochs=end,
                    initial_epoch=first,
                    # The batches have their order; Keras' would depend on Python's random state.
                    shuffle=False,
                    callbacks=[interruption, steps, ends],
                    verbose=0,
                )
            done = end
    return trained


def _compiled(
    model: keras.Model, teacher: keras.Model | None, recipe: Recipe, phase: Phase, steps: int
) -> keras.Model:
    for layer in model.layers:
        layer.trainable = not phase.head_only or layer.name == HEAD
    trained = model if teacher is None else Distillation(model, teacher)
    trained.compile(
        optimizer(recipe, phase, steps, model),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        # On TensorFlow, XLA's depthwise convolutions are many times slower than TensorFlow's own
        # on CPU, and a MirroredStrategy cannot be compiled by it.
        jit_compile=keras.backend.backend() == "jax",
    )
    return trained


@contextmanager
def _explained(
    batches: Batches, validation: Batches, folder: RunFolder, saved: Saved
) -> Iterator[None]:
    """Raises what went wrong, not what `fit` made of it, with a note on what is kept."""
    try:
        yield
    except Exception as error:
        cause = batches.failure or validation.failure or _first(error)
        if saved.history and not isinstance(cause, KeyboardInterrupt):
            cause.add_note(
                f"The state after epoch {len(saved.history)} is kept in '{folder.state}': once "
                "the cause is gone, the same command goes on from there."
            )
        if cause is error:
            raise
        raise cause from None


def _first(error: BaseException) -> BaseException:
    """Returns what ended `fit`.

    On JAX, where a step takes the variables' values away, `fit` wants to average them after an
    error too, and raises a `TypeError` of its own.
    """
    while (
        keras.backend.backend() == "jax"
        and isinstance(error, TypeError)
        and error.__context__ is not None
    ):
        error = error.__context__
    return error

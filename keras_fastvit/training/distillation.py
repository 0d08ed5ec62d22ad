"""Hard distillation (DeiT, arXiv 2012.12877, section 4): a teacher's best classes as labels."""

from typing import Any

import keras
from keras import ops


class Distillation(keras.Model):
    """A student that is trained on its labels and on its teacher's answers, with equal weight.

    The loss of logits z for labels y and a teacher's scores t is
    `½ · CE(z, y) + ½ · CE(z, one_hot(argmax t))`. Cross-entropy is linear in the labels, so it is
    computed as the loss of z for the mean of both; any compiled loss must be linear in them. The
    teacher sees the same augmented images. Outside of training the loss is that of y alone.

    Args:
        student: Model that maps images to logits `(batch, classes)`; calling, evaluating and
            predicting are its.
        teacher: Model that maps the same normalised images to scores `(batch, classes)`, logits
            or probabilities. It is frozen.

    Raises:
        ValueError: If the teacher takes other images or gives scores for other classes.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_teacher(teacher, student.input_shape, student.output_shape)
        self.student = student
        self.teacher = teacher
        self.teacher.trainable = False

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.student(images, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        if training:
            scores = self.teacher(x, training=False)
            answers = ops.one_hot(ops.argmax(scores, axis=-1), scores.shape[-1], dtype=y.dtype)
            y = (y + answers) / 2
        return super().compute_loss(x, y, y_pred, sample_weight, training)


def check_teacher(teacher: keras.Model, images: Any, scores: Any) -> None:
    """Checks that a teacher fits a student.

    Args:
        teacher: The model.
        images: Shape of the student's input, `(None, height, width, 3)`.
        scores: Shape of its output, `(None, classes)`.

    Raises:
        ValueError: If it does not.
    """
    taken, given = teacher.input_shape, teacher.output_shape
    fits = (
        isinstance(taken, tuple)
        and len(taken) == len(images)
        and all(own in (None, side) for own, side in zip(taken, images, strict=True))
    )
    if not fits or given != scores:
        raise ValueError(
            f"The teacher must map the student's images {images} to scores of the same classes "
            f"{scores}. Received: a teacher that maps {taken} to {given}"
        )

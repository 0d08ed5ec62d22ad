"""Students that learn from a teacher's answers."""

from typing import Any

import keras
from keras import ops


class Taught(keras.Model):
    """A student that learns from what its teacher gives for the same images.

    Calling, evaluating and predicting are the student's. Outside of training the loss is that of
    the labels alone, where there are any. Subclasses say what is wanted of the student.

    Args:
        student: Model that maps images to logits.
        teacher: Model that maps the same normalised images to scores. It is frozen.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.teacher = teacher
        self.teacher.trainable = False

    def wanted(self, labels: Any, scores: Any) -> Any:
        """Returns what the student's logits are compared with, of the labels and the scores."""
        raise NotImplementedError

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
        if training or y is None:  # Keras on JAX asks for the loss once before training
            y = self.wanted(y, ops.stop_gradient(self.teacher(x, training=False)))
        return super().compute_loss(x, y, y_pred, sample_weight, training)


class Distillation(Taught):
    """Hard distillation (DeiT, arXiv 2012.12877, section 4): the teacher's best class is a label.

    The loss of logits z for labels y and a teacher's scores t is
    `½ · CE(z, y) + ½ · CE(z, one_hot(argmax t))`. Cross-entropy is linear in the labels, so it is
    computed as the loss of z for the mean of both; any compiled loss must be linear in them. The
    teacher sees the same augmented images.

    Args:
        student: Model that maps images to logits `(batch, classes)`.
        teacher: Model that maps the same normalised images to scores `(batch, classes)`, logits
            or probabilities. It is frozen.

    Raises:
        ValueError: If the teacher takes other images or gives scores for other classes.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, **kwargs: Any) -> None:
        super().__init__(student, teacher, **kwargs)
        check_teacher(teacher, student.input_shape, student.output_shape)

    def wanted(self, labels: Any, scores: Any) -> Any:
        answers = ops.one_hot(ops.argmax(scores, axis=-1), scores.shape[-1], dtype=labels.dtype)
        return (labels + answers) / 2


class Imitation(Taught):
    """A student that is to give what its teacher gives; labels are not used."""

    def wanted(self, labels: Any, scores: Any) -> Any:
        return scores


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

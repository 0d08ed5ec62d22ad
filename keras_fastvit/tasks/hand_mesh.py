"""The paper's head for 3D hand meshes: a photograph of a hand becomes MANO's parameters."""

from typing import Any

import keras
from keras import layers, ops

from keras_fastvit.architecture.inference_form import fuse
from keras_fastvit.tasks.mano import POSE
from keras_fastvit.tasks.mano_file import SHAPES

CAMERA = 3
PARAMETERS = POSE + SHAPES + CAMERA
"""Numbers that a hand is described by: 48 of its pose, 10 of its shape, 3 of the camera."""

UNITS = 512
"""Width of the regressor's hidden layer."""

SCALE_UNIT = 0.1
"""Metres that a camera of scale one shows as half an image: about half a hand, so that a scale is
near one, as angles are. In int8 all parameters share one step."""


@keras.saving.register_keras_serializable(package="keras_fastvit")
class HandMesh(keras.Model):
    """A backbone whose pooled feature map a small regressor turns into a hand's parameters.

    The simple head of the paper's section 4.4, in place of complex ones that regress meshes: global
    average pooling, a hidden layer with ReLU, and a linear layer. Its output is one vector
    `(batch, 61)`, which `split_parameters` takes apart for `Mano` and `project`. Those stay outside
    of this model, so that its `.tflite` file is small and free of MANO's licence:

        pose, shape, camera = split_parameters(model(images))
        vertices, joints = Mano.from_file("mano_right.npz")(pose, shape)
        in_the_image = project(joints, camera)

    Args:
        backbone: A FastViT, or another model with `pyramid_outputs`, such as its inference form;
            its maps are laid out as its `data_format` says, or Keras' where it has none.
        level: Level of the pyramid that is pooled.
        units: Width of the hidden layer.
        name: Name of the model.
        **kwargs: Further arguments of `keras.Model`.

    Raises:
        ValueError: If the backbone has no such level, or `units` is not positive.

    Example:
    >>> from keras_fastvit import FastViTT8
    >>> backbone = FastViTT8(weights=None, include_top=False, input_shape=(64, 64, 3))
    >>> HandMesh(backbone).output.shape
    (None, 61)
    """

    def __init__(
        self,
        backbone: keras.Model,
        level: str = "P5",
        units: int = UNITS,
        name: str = "hand_mesh",
        **kwargs: Any,
    ) -> None:
        pyramid = getattr(backbone, "pyramid_outputs", {})
        if level not in pyramid:
            known = ", ".join(pyramid) or f"none: model '{backbone.name}' has no `pyramid_outputs`"
            raise ValueError(
                f"`level` must be one of the backbone's: {known}. Received: level={level!r}"
            )
        if units < 1:
            raise ValueError(f"`units` must be a positive integer. Received: units={units}")
        data_format = getattr(backbone, "data_format", None)
        x = layers.GlobalAveragePooling2D(data_format=data_format, name="pool")(pyramid[level])
        x = layers.Dense(units, activation="relu", name="hidden")(x)
        # Small at first: a hand near the mean pose, rather than one that is twisted at random.
        init = keras.initializers.RandomNormal(stddev=0.01)
        output_dtype = keras.backend.result_type(x.dtype, "float32")
        x = layers.Dense(
            PARAMETERS, kernel_initializer=init, dtype=output_dtype, name="parameters"
        )(x)
        super().__init__(inputs=backbone.inputs[0], outputs=x, name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        graph = keras.Model(self.input, self.output, name=self.name, trainable=self.trainable)
        return {"graph": graph.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        """Rebuilds the model as a plain `keras.Model`."""
        return keras.Model.from_config(config["graph"], custom_objects)

    def fuse(self) -> keras.Model:
        """Returns the inference form; see `keras_fastvit.fuse`. This model is left as it is."""
        return fuse(self)


def split_parameters(parameters: Any) -> tuple[Any, Any, Any]:
    """Splits a head's output into a pose, a shape and a camera.

    Args:
        parameters: `(batch, 61)`.

    Returns:
        Pose `(batch, 48)` and shape `(batch, 10)` as `Mano` takes them, camera `(batch, 3)` as
        `project` does.

    Raises:
        ValueError: If it is not 61 numbers a hand.

    Example:
    >>> import numpy as np
    >>> pose, shape, camera = split_parameters(np.zeros((2, 61)))
    >>> tuple(pose.shape), tuple(shape.shape), tuple(camera.shape)
    ((2, 48), (2, 10), (2, 3))
    """
    if len(parameters.shape) != 2 or parameters.shape[1] != PARAMETERS:
        raise ValueError(
            f"Expected parameters of shape (batch, {PARAMETERS}). Received: {parameters.shape}"
        )
    pose, shape, camera = ops.split(parameters, [POSE, POSE + SHAPES], axis=-1)
    return pose, shape, camera


def project(points: Any, camera: Any) -> Any:
    """Projects points by a weak-perspective camera, `scale · (x, y) + (tx, ty)`.

    Args:
        points: `(batch, points, 3)` in metres.
        camera: `(batch, 3)`: the scale, in half image sides for each 0.1 m, then `tx` and `ty` in
            half image sides.

    Returns:
        `(batch, points, 2)` in half image sides from the image's centre: −1..1 is in the image.

    Example:
    >>> import numpy as np
    >>> points, camera = np.array([[[0.1, 0.0, 0.5]]]), np.array([[0.5, 0.0, 0.25]])
    >>> project(points, camera).tolist()
    [[[0.5, 0.25]]]
    """
    return points[..., :2] * (camera[:, None, :1] / SCALE_UNIT) + camera[:, None, 1:]

"""A FastViT as the image encoder of KerasHub's SegFormer, which has names of its own for things."""

from typing import Any

import keras

from keras_fastvit.architecture.inference_form import set_pyramid_outputs


@keras.saving.register_keras_serializable(package="keras_fastvit")
class SegFormerEncoder(keras.Model):
    """The stages of a FastViT, named as `keras_hub.models.SegFormerBackbone` wants them.

    It shares its layers with the FastViT, but for those behind the last stage, which SegFormer has
    no use for. KerasHub is not needed for it.

    Args:
        backbone: A `FastViT` for images of a known size, channels last, as SegFormer resizes all
            maps to the first one's size when it is built. Its stages must differ in width, as
            SegFormer names its layers after the widths.
        name: Name of the model; default: the backbone's.

    Attributes:
        pyramid_outputs: `{"P1": …, "P2": …}`: the outputs of the stages by their number, from 1/4
            of the image's sides on. What the FastViT calls `P2`, by its stride, is `P1` here.
        hidden_dims: The stages' widths.

    Raises:
        ValueError: If the backbone is not as above.

    Example:
    >>> from keras_fastvit import FastViTT8
    >>> backbone = FastViTT8(weights=None, include_top=False, input_shape=(64, 64, 3))
    >>> encoder = SegFormerEncoder(backbone)
    >>> encoder.hidden_dims, encoder.pyramid_outputs["P1"].shape
    ([48, 96, 192, 384], (None, 16, 16, 48))
    """

    def __init__(self, backbone: keras.Model, name: str | None = None, **kwargs: Any) -> None:
        stages = list(getattr(backbone, "pyramid_outputs", {}).values())
        widths = [stage.shape[-1] for stage in stages]
        if not stages or getattr(backbone, "data_format", None) != "channels_last":
            raise ValueError(
                "`backbone` must be a FastViT in training form with data_format='channels_last'. "
                f"Received: {getattr(backbone, 'name', backbone)!r} of type "
                f"{type(backbone).__name__}, data_format={getattr(backbone, 'data_format', None)!r}"
            )
        if None in backbone.input.shape[1:]:
            raise ValueError(
                "SegFormer is built for images of one size: give the backbone an `input_shape`. "
                f"Received: model '{backbone.name}' with an input of shape {backbone.input.shape}"
            )
        if len(set(widths)) < len(widths):
            raise ValueError(
                "SegFormer names a layer after the width of each stage, so the widths must differ. "
                f"Received: model '{backbone.name}' with stages of {widths} channels"
            )
        pyramid = {f"P{number}": stage for number, stage in enumerate(stages, start=1)}
        super().__init__(backbone.input, pyramid, name=name or backbone.name, **kwargs)
        set_pyramid_outputs(self, pyramid)
        self.hidden_dims = widths
        # Not tracked: what lies behind the stages is no part of this model.
        object.__setattr__(self, "backbone", backbone)

    def get_config(self) -> dict[str, Any]:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SegFormerEncoder":
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        return cls(backbone, config["name"], trainable=config.get("trainable", True))

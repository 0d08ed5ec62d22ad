"""`FastViTT8` … `FastViTMA36`: a variant with weights, with the signature of `keras.applications`."""

from collections.abc import Callable
from typing import Any

import keras

from keras_fastvit import pretrained
from keras_fastvit.model import FastViT
from keras_fastvit.variants import get_variant

_DOC = """Instantiates {title}: {top1} % ImageNet-1k top-1 released, {top1_distilled} % distilled.

    Args:
        include_top: See `FastViT`, as for all arguments but `weights`.
        weights: `"imagenet"` or `"imagenet_distilled"` (fetched from the Hugging Face hub once, and
            cached; under Apple's licence, see NOTICE), `"fashion_mnist"` (T8 only, 10 classes,
            in the package), None for random weights, or the path of a `.weights.h5`, `.keras`,
            `.safetensors`, `.pth` or `.pth.tar` file.
        input_tensor: …
        input_shape: Default with the top: the side that the named weights were trained at.
        pooling: …
        classes: If not 1000, the classifier of ImageNet weights is left out, with a note.
        classifier_activation: …
        drop_path_rate: …
        dropout: …
        layer_scale_init_value: …
        data_format: …
        dtype: …
        name: …

    Returns:
        A `FastViT`; the inference form of one, a plain `keras.Model`, if `weights` is a file whose
        branches have been folded already (Apple's `_reparam`).

    Raises:
        ValueError: If an argument is not one of the above, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
    """


def _constructor(title: str, variant: str) -> Callable[..., keras.Model]:
    def build(
        include_top: bool = True,
        weights: str | None = "imagenet",
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | None = "softmax",
        drop_path_rate: float | None = None,
        dropout: float = 0.0,
        layer_scale_init_value: float | None = None,
        data_format: str | None = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> keras.Model:
        raise NotImplementedError

    row = get_variant(variant)
    build.__name__ = build.__qualname__ = title
    build.__doc__ = _DOC.format(title=title, top1=row.top1, top1_distilled=row.top1_distilled)
    return build


FastViTT8 = _constructor("FastViTT8", "fastvit_t8")
FastViTT12 = _constructor("FastViTT12", "fastvit_t12")
FastViTS12 = _constructor("FastViTS12", "fastvit_s12")
FastViTSA12 = _constructor("FastViTSA12", "fastvit_sa12")
FastViTSA24 = _constructor("FastViTSA24", "fastvit_sa24")
FastViTSA36 = _constructor("FastViTSA36", "fastvit_sa36")
FastViTMA36 = _constructor("FastViTMA36", "fastvit_ma36")

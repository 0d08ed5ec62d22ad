"""FastViT for Keras 3."""

# Their layers are then known to Keras, as the model's are.
import keras_fastvit.architecture.fake_quantization
import keras_fastvit.tasks  # noqa: F401
from keras_fastvit.applications import (
    FastViTMA36,
    FastViTMCi0,
    FastViTMCi1,
    FastViTMCi2,
    FastViTMCi3,
    FastViTMCi4,
    FastViTS12,
    FastViTSA12,
    FastViTSA24,
    FastViTSA36,
    FastViTT8,
    FastViTT12,
)
from keras_fastvit.architecture.inference_form import fuse
from keras_fastvit.architecture.model import FastViT
from keras_fastvit.clip.classifier import zero_shot
from keras_fastvit.clip.text_embeddings import TextEmbeddings, read_text_embeddings
from keras_fastvit.images.preprocessing import (
    class_names,
    decode_predictions,
    load_image,
    preprocess_input,
)

__all__ = [
    "FastViT",
    "FastViTMA36",
    "FastViTMCi0",
    "FastViTMCi1",
    "FastViTMCi2",
    "FastViTMCi3",
    "FastViTMCi4",
    "FastViTS12",
    "FastViTSA12",
    "FastViTSA24",
    "FastViTSA36",
    "FastViTT8",
    "FastViTT12",
    "TextEmbeddings",
    "class_names",
    "decode_predictions",
    "fuse",
    "load_image",
    "preprocess_input",
    "read_text_embeddings",
    "zero_shot",
]

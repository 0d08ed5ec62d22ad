"""The other way to a phone: timm's model through Google's litert-torch and ai-edge-quantizer.

    python -m benchmarks.litert_torch_reference convert fastvit_t8 W.safetensors 256 OUT.tflite
    python -m benchmarks.litert_torch_reference quantize IN.tflite static IMAGES.npy OUT.tflite

The first lets timm load the weights and fuse the model, and litert-torch convert it to a float32
file, images `(1, 256, 256, 3)` in, logits out. The second quantises a float32 file, `static`ally
(weights and activations in 8 bits, the ranges of the activations from the images) or `dynamic`ally
(weights in 8 bits, ranges of the activations found while it runs, no need of images).

It runs in an environment of its own, that of `requirements/litert_torch.txt`, which has neither
Keras nor this package; `benchmarks.litert_torch_environment` calls it from ours.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_fastvit.conversion.references import timm as timm_reference


def convert(variant: str, weights: str, side: str, output: str) -> None:
    """Runs the first command in the module's docstring."""
    timm_reference.import_timm()  # first: litert-torch imports torchvision, too
    import litert_torch
    import torch
    from safetensors.torch import load_file

    classes = len(load_file(weights)["head.fc.weight"])
    model = timm_reference.create_model(variant, classes)
    timm_reference.load(model, Path(weights))
    channels_last = litert_torch.to_channel_last_io(timm_reference.fused(model).eval(), args=[0])
    image = torch.randn(1, int(side), int(side), 3)
    litert_torch.convert(channels_last, (image,)).export(output)


def quantize(source: str, kind: str, images: str, output: str) -> None:
    """Runs the second command in the module's docstring."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    recipes = {"static": recipe.static_wi8_ai8, "dynamic": recipe.dynamic_wi8_afp32}
    quantizing = quantizer.Quantizer(source)
    quantizing.load_quantization_recipe(recipes[kind]())
    ranges = None
    if quantizing.need_calibration:
        ((signature, names),) = Interpreter(source).get_signature_list().items()
        (name,) = names["inputs"]
        ranges = quantizing.calibrate({signature: [{name: x[None]} for x in np.load(images)]})
    quantizing.quantize(ranges).export_model(output)


_COMMANDS: dict[str, Callable[..., None]] = {"convert": convert, "quantize": quantize}


if __name__ == "__main__":
    _COMMANDS[sys.argv[1]](*sys.argv[2:])

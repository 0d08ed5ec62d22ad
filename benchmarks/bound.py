"""The bound on a variant's latency: its dense and 1×1 convolutions alone, in the same runtime.

They are the multiplications that no rewriting of a model can save. What a file takes beyond them
is the price of the rest: depthwise convolutions, activations, skips, attention but its projections.

Not to the last multiplication: where the model's second projection of attention takes `width`
channels, the bound's takes all `3 · width` that its first gives, 3.6 % too many for SA12.
"""

import keras
from keras import layers

from keras_fastvit.architecture.variants import ATTENTION, Variant


def build_bound(variant: Variant, side: int, classes: int) -> keras.Model:
    """Returns a model `(1, side, side, 3)` -> `(1, classes)` of those convolutions, at random.

    A stem of a 3×3 convolution of stride 2 and a 1×1; between stages a 1×1 from twice the
    channels; in each block the ConvFFN's two 1×1 and, where the mixer is attention, its two
    projections; the classifier on twice the last width. Average pooling and concatenation, which
    cost little, stand where the size or the number of channels changes.
    """
    inputs = keras.Input((side, side, 3), batch_size=1)
    x = layers.Conv2D(variant.widths[0], 3, 2, "same")(inputs)
    x = layers.Conv2D(variant.widths[0], 1)(layers.AveragePooling2D(2)(x))
    stages = zip(variant.layers, variant.widths, variant.token_mixers, strict=True)
    for stage, (depth, width, token_mixer) in enumerate(stages):
        if stage:
            x = layers.AveragePooling2D(2)(x)
            x = layers.Conv2D(width, 1)(layers.Concatenate()([x, x]))
        for _ in range(depth):
            if token_mixer == ATTENTION:
                x = layers.Conv2D(width, 1)(layers.Conv2D(3 * width, 1)(x))
            x = layers.Conv2D(width, 1)(layers.Conv2D(variant.mlp_ratio * width, 1)(x))
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([x, x]))
    return keras.Model(inputs, layers.Dense(classes)(x))

"""`zero_shot(tower, text_embeddings)`: an image tower made a classifier without training."""

import logging

import keras
import numpy as np

from keras_fastvit.clip.text_embeddings import TextEmbeddings
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.graph.rewriting import graph_of

_LOG = logging.getLogger("keras_fastvit")


def zero_shot(tower: keras.Model, text_embeddings: TextEmbeddings) -> keras.Model:
    """Returns a classifier of images by the texts that they are nearest to.

    `softmax(logit_scale · cos(image's embedding, each text's))` (Radford et al., arXiv 2103.00020,
    section 3.1.2): what CLIP says of an image and these texts, and nothing was trained for.

    Args:
        tower: An image tower in training or inference form, such as `FastViTMCi0`, or any
            functional model with images as its input and an embedding `(batch, width)` as its
            output.
        text_embeddings: Of the texts, by the text tower that the image tower was trained with; see
            `read_text_embeddings`.

    Returns:
        A functional model of the same input and name, which shares the tower's layers and gives
        probabilities `(batch, classes)`, in the order of `text_embeddings.names`. `fuse` gives its
        inference form. If the text embeddings had to be normalised, that is logged.

    Raises:
        ValueError: If the tower is not as above, or its embedding of another width than the texts'.

    Example:
    >>> from keras_fastvit import FastViTMCi0, decode_predictions
    >>> tower = FastViTMCi0(input_shape=(32, 32, 3), data_format="channels_last")
    >>> text = TextEmbeddings(["cat", "dog"], np.eye(2, 512))
    >>> model = zero_shot(tower, text)
    >>> scores = model.predict(np.ones((1, 32, 32, 3)), verbose=0)
    >>> decoded = decode_predictions(scores, top=2, class_names=text.names)
    >>> sorted(name for _, name, _ in decoded[0])
    ['cat', 'dog']
    """
    graph = graph_of(tower)
    classes, width = text_embeddings.embeddings.shape
    shapes = [tuple(x.shape) for x in graph.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or to_logits(tower)[1] != "linear":
        raise ValueError(
            "`zero_shot` expects an image tower, whose one output is an embedding (batch, width) "
            "without a softmax behind it. "
            f"Received: model '{tower.name}' with outputs of shapes {shapes}"
        )
    if shapes[0][1] != width:
        raise ValueError(
            f"Text embeddings must be as wide as the images', which are {shapes[0][1]} wide of "
            f"model '{tower.name}': both must come from the same CLIP. "
            f"Received: text embeddings of shape {text_embeddings.embeddings.shape}"
        )
    if text_embeddings.note is not None:
        _LOG.warning("%s", text_embeddings.note)
    # Behind the norm, not folded into the tower's projection: the norm's inverse would then be a
    # tensor of its own, for whose RSQRT in int8 XNNPACK has no kernel, and int8 no less noise.
    # In float32 whatever the tower computes in: the scale is too large for 16 bits.
    unit = keras.layers.UnitNormalization(dtype="float32", name="unit_embedding")
    compare = keras.layers.Dense(
        classes, use_bias=False, activation="softmax", dtype="float32", name="zero_shot"
    )
    model = keras.Model(graph.input, compare(unit(graph.outputs[0])), name=tower.name)
    compare.set_weights([np.float32(text_embeddings.logit_scale) * text_embeddings.embeddings.T])
    return model

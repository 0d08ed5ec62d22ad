"""The names of a model's outputs in its file and in the sidecar."""

import keras
from keras import tree

from keras_fastvit.graph.rewriting import graph_of

ONLY = "output"
"""Name of the output of a model that has one."""


def output_names(model: keras.Model) -> tuple[str, ...]:
    """Returns names in the order of `model.outputs`: where they are in a dict, its keys.

    >>> image = keras.Input((8, 8, 3))
    >>> means = keras.layers.GlobalAveragePooling2D()(image)
    >>> output_names(keras.Model(image, means))
    ('output',)
    >>> output_names(keras.Model(image, {"mean": means, "maps": [image, image]}))
    ('maps_0', 'maps_1', 'mean')
    >>> output_names(keras.Model(image, [image, means]))
    ('output_0', 'output_1')

    Raises:
        ValueError: If two would have the same name.
    """
    if len(model.outputs) == 1:
        return (ONLY,)
    names = []
    for path, _ in tree.flatten_with_path(graph_of(model).output):
        parts = [str(part) for part in path]
        names.append("_".join([ONLY, *parts] if parts[0].isdigit() else parts))
    if len({*names}) < len(names):
        raise ValueError(
            "The outputs of a model to export must have names of their own. "
            f"Received: model '{model.name}' with outputs {', '.join(names)}"
        )
    return tuple(names)

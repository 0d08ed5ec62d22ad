"""What sublayers have of their own: being frozen, or a dtype policy such as int8's.

A layer that makes its sublayers anew, when its model is loaded or cloned, would make them like
itself. So its config names those that differ, and in what. LoRA is not kept: Keras adds its product
to the kernel when weights are saved, and an adapter whose factors are both zero learns nothing.
"""

from collections.abc import Iterable
from typing import Any

import keras

Overrides = dict[str, dict[str, Any]]
"""By a sublayer's name, those of its constructor's arguments that differ from its owner's.

`{"fc1": {"trainable": False}}`, or further inside, `{"mlp": {"overrides": {"fc1": …}}}`.
"""

_OPTIONAL = ("quantization_config", "overrides")


def overrides_of(owner: keras.Layer, sublayers: Iterable[keras.Layer]) -> Overrides:
    """Returns in what sublayers, and the layers in them, differ from what their owner makes.

    Args:
        owner: A layer or model that gives its sublayers its own dtype policy and `trainable`.
        sublayers: Those that the owner makes.
    """
    dtype = keras.dtype_policies.serialize(owner.dtype_policy)
    found = {}
    for layer in sublayers:
        config = layer.get_config()
        own = {key: config[key] for key in _OPTIONAL if config.get(key)}
        if layer.trainable != owner.trainable:
            own["trainable"] = layer.trainable
        # Layers without weights that compute in float32, whatever their owner does, are made so.
        if layer.weights and config["dtype"] != dtype:
            own["dtype"] = config["dtype"]
        if own:
            found[layer.name] = own
    return found


def inherited(name: str, dtype: Any, trainable: bool, overrides: Overrides) -> dict[str, Any]:
    """Returns the constructor's arguments of a sublayer: its owner's, but for its overrides."""
    own = overrides.get(name)
    return {
        "dtype": dtype,
        "trainable": trainable,
        "name": name,
        **(keras.saving.deserialize_keras_object(own) if own else {}),
    }

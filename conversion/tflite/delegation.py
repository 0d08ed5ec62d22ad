"""Finds the operators of a `.tflite` file that XNNPACK runs: the fast path on a CPU.

LiteRT hands connected groups of operators, partitions, to the delegate and runs the rest in its
own kernels. A partition's results go through memory, so one partition is best.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_fastvit.conversion.tflite.runtime import open_interpreter
from keras_fastvit.plain_text import in_short

DELEGATE = "DELEGATE"
"""What the runtime calls a partition in its list of nodes."""


@dataclass(frozen=True)
class Delegation:
    """Who runs the operators of a file.

    Attributes:
        partitions: Groups of operators that the delegate runs; 0 where it takes none.
        inside: How many of each operator the delegate runs.
        outside: How many of each operator the runtime's own kernels run.
        layers: The same, by the layer that they are of; a function goes by its own name.
    """

    partitions: int
    inside: Counter[str]
    outside: Counter[str]
    layers: Mapping[str, Counter[str]] = field(default_factory=dict)


def delegation(path: str | os.PathLike[str], layers: Collection[str] = ()) -> Delegation:
    """Loads a file in the runtime, and asks who runs what.

    Args:
        path: The file.
        layers: Names of the layers that it was made from.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run.
    """
    interpreter = open_interpreter(path)
    try:
        return _of_nodes(interpreter, layers)
    except Exception as error:  # a tensor's name that is no text, which no run needs
        raise ValueError(
            f"'{path}' does not say who runs it. Expected an undamaged .tflite file. Received: "
            f"{type(error).__name__}: {in_short(error)}"
        ) from error


def _of_nodes(interpreter: Any, layers: Collection[str]) -> Delegation:
    nodes = interpreter._get_ops_details()
    operators = [node for node in nodes if node["op_name"] != DELEGATE]
    partitions = [node for node in nodes if node["op_name"] == DELEGATE]
    producers = {output: node for node in operators for output in node["outputs"].tolist()}
    # The runtime does not tell what it replaced by a partition: whatever computes the partition's
    # outputs from its inputs.
    inside: dict[int, str] = {}
    for partition in partitions:
        given = set(partition["inputs"].tolist())
        wanted = partition["outputs"].tolist()
        while wanted:
            tensor = wanted.pop()
            node = producers.get(tensor)
            if tensor in given or node is None or node["index"] in inside:
                continue
            inside[node["index"]] = node["op_name"]
            wanted += node["inputs"].tolist()
    outside = [node for node in operators if node["index"] not in inside]
    tensors = {x["index"]: x["name"] for x in interpreter.get_tensor_details()}
    by_layer: dict[str, Counter[str]] = defaultdict(Counter)
    for node in outside:
        layer = _layer_of(tensors[node["outputs"][0]], layers)
        by_layer[layer][node["op_name"]] += 1
    return Delegation(
        len(partitions),
        Counter(inside.values()),
        Counter(node["op_name"] for node in outside),
        dict(by_layer),
    )


def _layer_of(tensor: str, layers: Collection[str]) -> str:
    """Returns the layer that a tensor is of, which TensorFlow calls `model_1/layer_1/MatMul;…`."""
    parts = re.split("[/;]", tensor)
    names = [re.sub(r"_\d+$", "", part) for part in parts]
    return next((name for name in [*names, *parts] if name in layers), parts[-1])

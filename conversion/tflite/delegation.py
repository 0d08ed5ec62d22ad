"""Finds the operators of a `.tflite` file that XNNPACK runs: the fast path on a CPU.

LiteRT hands connected groups of operators, partitions, to the delegate and runs the rest in its
own kernels. A partition's results go through memory, so one partition is best.
"""

import os
from collections import Counter
from dataclasses import dataclass

from keras_fastvit.conversion.tflite.runtime import open_interpreter

DELEGATE = "DELEGATE"
"""What the runtime calls a partition in its list of nodes."""


@dataclass(frozen=True)
class Delegation:
    """Who runs the operators of a file.

    Attributes:
        partitions: Groups of operators that the delegate runs; 0 where it takes none.
        inside: How many of each operator the delegate runs.
        outside: How many of each operator the runtime's own kernels run.
    """

    partitions: int
    inside: Counter[str]
    outside: Counter[str]


def delegation(path: str | os.PathLike[str]) -> Delegation:
    """Loads a file in the runtime, and asks who runs what.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run.
    """
    nodes = open_interpreter(path)._get_ops_details()
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
    return Delegation(
        len(partitions),
        Counter(inside.values()),
        Counter(node["op_name"] for node in operators if node["index"] not in inside),
    )

"""The contents of a `.tflite` file: operators, who runs them, sizes, quantisation, metadata."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import delegation
from keras_fastvit.conversion.tflite.runtime import check
from keras_fastvit.conversion.tflite.schema import Graph, Tensor, read_graph


@dataclass(frozen=True)
class OperatorKind:
    """All operators of one name.

    Attributes:
        name: The schema's.
        count: How many the file has.
        delegated: How many of them the XNNPACK delegate runs.
        macs: Their multiply-accumulates for one image.
    """

    name: str
    count: int
    delegated: int
    macs: int


@dataclass(frozen=True)
class Port:
    """An input or output of the file.

    Attributes:
        name: Of the tensor.
        shape: Its dimensions.
        dtype: The schema's name.
        scale: An integer `q` stands for `(q - zero_point) * scale`; None of a float.
        zero_point: The same.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class Inspection:
    """The contents of a file, as `inspect` found them.

    Attributes:
        path: The file.
        size: Of the file, in bytes.
        operators: By kind, most work first.
        partitions: How many pieces the XNNPACK delegate runs.
        macs: Multiply-accumulates for one image.
        weights: Bytes of constant values, by dtype; what tensors share counts once.
        activations: Number of computed tensors, by dtype.
        per_channel: Number of quantised weights with a scale for each channel.
        per_tensor: Number of quantised weights with one scale.
        inputs: The file's inputs.
        outputs: The file's outputs.
        metadata: Sizes in bytes of the metadata entries, by name.
        embedded: What `export` has written into the file; None if it is not from there.
        sidecar: What the JSON file beside it says; None where there is none.

    Example:
    >>> import dataclasses
    >>> [field.name for field in dataclasses.fields(Inspection)][:3]
    ['path', 'size', 'operators']
    """

    path: Path
    size: int
    operators: tuple[OperatorKind, ...]
    partitions: int
    macs: int
    weights: dict[str, int]
    activations: dict[str, int]
    per_channel: int
    per_tensor: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, int]
    embedded: dict[str, Any] | None
    sidecar: dict[str, Any] | None


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Reads a `.tflite` file and loads it in LiteRT, to see what the delegate takes.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If LiteRT is not installed.
        ValueError: If the file is damaged or no `.tflite`, or if its sidecar is of another file.

    Example:
    >>> import tempfile
    >>> import keras
    >>> from keras_fastvit.conversion import export
    >>> image = keras.Input((8, 8, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export(model, f"{folder}/model.tflite")
    ...     found = inspect(exported.path)
    >>> found.macs, [(x.name, x.count, x.delegated) for x in found.operators]
    (3888, [('CONV_2D', 1, 1)])
    """
    path = Path(path)
    check(path)
    content = path.read_bytes()
    try:
        graph = read_graph(content)
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged. {error}") from error
    delegated = delegation(path)
    counts = Counter(operator.name for operator in graph.operators)
    macs: Counter[str] = Counter()
    for operator in graph.operators:
        macs[operator.name] += operator.macs
    constants = {tensor.buffer: tensor for tensor in graph.tensors if tensor.size}
    weights: Counter[str] = Counter()
    for tensor in constants.values():
        weights[tensor.dtype] += tensor.size
    # Biases have their scale from input and weight, as 32-bit integers.
    quantised = [len(t.scales) for t in constants.values() if t.scales and t.dtype != "INT32"]
    return Inspection(
        path=path,
        size=len(content),
        operators=tuple(
            OperatorKind(name, count, delegated.inside[name], macs[name])
            for name, count in sorted(
                counts.items(), key=lambda item: (-macs[item[0]], -item[1], item[0])
            )
        ),
        partitions=delegated.partitions,
        macs=macs.total(),
        weights=dict(weights.most_common()),
        activations=dict(
            Counter(tensor.dtype for tensor in graph.tensors if not tensor.size).most_common()
        ),
        per_channel=sum(scales > 1 for scales in quantised),
        per_tensor=sum(scales == 1 for scales in quantised),
        inputs=_ports(graph, graph.inputs),
        outputs=_ports(graph, graph.outputs),
        metadata=graph.metadata,
        embedded=sidecar.embedded(content, path),
        sidecar=sidecar.read(path),
    )


def _ports(graph: Graph, indices: tuple[int, ...]) -> tuple[Port, ...]:
    def port(tensor: Tensor) -> Port:
        (scale, *_), (zero_point, *_) = tensor.scales or (None,), tensor.zero_points or (None,)
        return Port(tensor.name, tensor.shape, tensor.dtype, scale, zero_point)

    return tuple(port(graph.tensors[i]) for i in indices)

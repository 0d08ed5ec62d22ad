"""Reads what a `.tflite` file is made of: its tensors, operators and metadata.

Needs NumPy and `ai_edge_litert`, which has the format's schema. Of a file with several subgraphs
(control flow) the first is read, which is the one that a runtime starts.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_fastvit.plain_text import in_short


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: In the file.
        shape: Its dimensions; 1 in the place of one that is not static.
        dtype: The schema's name: `"FLOAT32"`, `"INT8"`, …
        buffer: Where its constant values are; tensors of the same values share them.
        size: Bytes of its constant values; 0 if it is computed.
        scales: Its quantisation's scales: none of a float, one of each channel of a weight.
        zero_points: As many.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    buffer: int
    size: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """A node of the graph.

    Attributes:
        name: The schema's, such as `"CONV_2D"`; one that is not built in goes by its own name.
        inputs: Indices of tensors; -1 for an optional one that is left out.
        outputs: Indices of tensors.
        macs: Multiply-accumulates of one run; 0 for what is neither a convolution nor a product of
            matrices.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a file, and the file's metadata.

    Attributes:
        tensors: In the file's order, which is that of the indices.
        operators: In the order in which they run.
        inputs: Indices of tensors.
        outputs: Indices of tensors.
        output_names: As the file's signature calls the outputs, each with its index.
        subgraphs: How many the file has.
        metadata: Sizes in bytes, by name.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_names: dict[str, int]
    subgraphs: int
    metadata: dict[str, int]


def read_graph(content: bytes) -> Graph:
    """Reads the content of a file that the runtime has loaded, and so verified.

    Raises:
        ImportError: If `ai_edge_litert` is not installed.
        ValueError: If a part that the runtime has not looked at is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    try:
        return _graph(model)
    except Exception as error:  # damage surfaces in many ways: IndexError, struct.error, …
        raise ValueError(
            "Expected a .tflite file whose parts refer to each other as its schema says. "
            f"Received: {type(error).__name__}: {in_short(error)}"
        ) from error


def _graph(model: Any) -> Graph:
    graph = model.Subgraphs(0)
    tensors = _tensors(model, graph)
    names = operator_names(model)
    operators = []
    for i in range(graph.OperatorsLength()):
        node = graph.Operators(i)
        inputs = _integers(node.InputsLength(), node.Inputs)
        outputs = _integers(node.OutputsLength(), node.Outputs)
        name = names[node.OpcodeIndex()]
        factor = _macs_of_an_output(name, [tensors[j].shape for j in inputs if j >= 0], node)
        values = sum(math.prod(tensors[j].shape) for j in outputs) if factor else 0
        operators.append(Operator(name, inputs, outputs, factor * values))
    return Graph(
        tensors,
        tuple(operators),
        _integers(graph.InputsLength(), graph.Inputs),
        _integers(graph.OutputsLength(), graph.Outputs),
        _output_names(model),
        model.SubgraphsLength(),
        {
            _text(entry.Name()): model.Buffers(entry.Buffer()).DataLength()
            for entry in map(model.Metadata, range(model.MetadataLength()))
        },
    )


def _output_names(model: Any) -> dict[str, int]:
    if not model.SignatureDefsLength():
        return {}
    signature = model.SignatureDefs(0)
    outputs = map(signature.Outputs, range(signature.OutputsLength()))
    return {_text(output.Name()): output.TensorIndex() for output in outputs}


def _tensors(model: Any, graph: Any) -> tuple[Tensor, ...]:
    from ai_edge_litert import schema_py_generated as schema

    dtypes = {code: name for name, code in vars(schema.TensorType).items()}
    tensors = []
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer, quantization = model.Buffers(tensor.Buffer()), tensor.Quantization()
        scales: tuple[float, ...] = ()
        zero_points: tuple[int, ...] = ()
        if quantization is not None and quantization.ScaleLength():
            scales = tuple(quantization.ScaleAsNumpy().tolist())
            zero_points = _integers(quantization.ZeroPointLength(), quantization.ZeroPoint)
        tensors.append(
            Tensor(
                _text(tensor.Name()),
                _integers(tensor.ShapeLength(), tensor.Shape),
                dtypes[tensor.Type()],
                tensor.Buffer(),
                # Buffers of files over 2 GB lie behind the schema's part, at an offset.
                buffer.DataLength() or buffer.Size(),
                scales,
                zero_points,
            )
        )
    return tuple(tensors)


def _macs_of_an_output(name: str, shapes: list[tuple[int, ...]], node: Any) -> int:
    """Returns the multiply-accumulates for one of an operator's output values."""
    from ai_edge_litert import schema_py_generated as schema

    if name in ("CONV_2D", "FULLY_CONNECTED"):
        return math.prod(shapes[1][1:])  # (out, height, width, in of a group) or (out, in)
    if name == "DEPTHWISE_CONV_2D":
        return math.prod(shapes[1][1:3])  # (1, height, width, channels)
    if name == "BATCH_MATMUL":
        table = node.BuiltinOptions()
        options = schema.BatchMatMulOptions()
        if table is None:
            return shapes[0][-1]
        options.Init(table.Bytes, table.Pos)
        return shapes[0][-2 if options.AdjX() else -1]
    return 0


def _integers(length: int, item: Callable[[int], int]) -> tuple[int, ...]:
    return tuple(item(i) for i in range(length))


def _text(name: bytes | None) -> str:
    return "" if name is None else name.decode(errors="replace")


def operators(content: bytes) -> Counter[str]:
    """Counts the operators in the content of a `.tflite` file, by their names in its schema.

    Those that are not built in go by their own names: TensorFlow's by names such as `FlexErf`.

    Raises:
        ImportError: If `ai_edge_litert`, which has the schema, is not installed.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    names = operator_names(model)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return Counter(
        names[graph.Operators(i).OpcodeIndex()]
        for graph in graphs
        for i in range(graph.OperatorsLength())
    )


def operator_names(model: Any) -> list[str]:
    """Returns the names of a schema's `Model`'s operator codes, in their order."""
    from ai_edge_litert import schema_py_generated as schema

    builtin_names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    names = []
    for i in range(model.OperatorCodesLength()):
        operator = model.OperatorCodes(i)
        # Two fields: the newer one holds the codes that the older one has no room for.
        code = max(operator.BuiltinCode(), operator.DeprecatedBuiltinCode())
        custom = code == schema.BuiltinOperator.CUSTOM
        names.append(operator.CustomCode().decode() if custom else builtin_names[code])
    return names

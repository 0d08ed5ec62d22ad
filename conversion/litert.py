"""Runs `.tflite` files in LiteRT's interpreter, and reads which operators they are made of.

Needs NumPy and one of the runtimes `ai_edge_litert` and, where only that is installed, its
forerunner `tflite_runtime`; neither Keras nor TensorFlow.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class TFLiteModel:
    """A `.tflite` file with one input and one output, ready to run.

    Args:
        path: The file.
        num_threads: Number of threads; default: the runtime's.

    Attributes:
        input_shape: `(1, height, width, channels)` of a file that `export_tflite` has written.
        output_shape: `(1, classes)` of a classifier.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run, or has several inputs or
            outputs.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int | None = None) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"Expected a .tflite file. Received: nothing at '{path}'")
        interpreter_class = _import_interpreter()
        try:
            self._interpreter = interpreter_class(str(path), num_threads=num_threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"'{path}' does not load in {interpreter_class.__module__}. Expected a .tflite "
                f"model of built-in operators. Received: {error}"
            ) from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(
                f"'{path}' must have one input and one output. "
                f"Received: {len(inputs)} inputs and {len(outputs)} outputs"
            )
        self._input, self._output = inputs[0], outputs[0]
        self.input_shape = tuple(self._input["shape"].tolist())
        self.output_shape = tuple(self._output["shape"].tolist())

    def __call__(self, inputs: Array) -> Array:
        """Runs the file on one input after the other.

        Args:
            inputs: Array `(count, ...)` of the file's own dtype, the rest of the shape being that
                of `input_shape`.

        Returns:
            Array `(count, ...)`, the rest of the shape being that of `output_shape`.

        Raises:
            ValueError: If the inputs' shape or dtype is not the file's.
        """
        shape, dtype = self.input_shape, np.dtype(self._input["dtype"])
        if inputs.shape[1:] != shape[1:] or inputs.dtype != dtype:
            raise ValueError(
                f"Expected inputs of shape (count, {', '.join(map(str, shape[1:]))}) and dtype "
                f"{dtype}. Received: shape {inputs.shape}, dtype {inputs.dtype}"
            )
        outputs = np.empty((len(inputs), *self.output_shape[1:]), self._output["dtype"])
        for i in range(len(inputs)):
            self._interpreter.set_tensor(self._input["index"], inputs[i : i + 1])
            self._interpreter.invoke()
            outputs[i] = self._interpreter.get_tensor(self._output["index"])[0]
        return outputs


def _import_interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as litert_error:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise ImportError(
                "Running a .tflite file needs LiteRT: `pip install ai-edge-litert`, which "
                f"`keras-fastvit[convert]` includes. Received: {litert_error}"
            ) from litert_error
    return Interpreter


def operators(content: bytes) -> Counter[str]:
    """Counts the operators in the content of a `.tflite` file, by their names in its schema.

    Those that are not built in go by their own names: TensorFlow's by names such as `FlexErf`.

    Raises:
        ImportError: If `ai_edge_litert`, which has the schema, is not installed.
    """
    from ai_edge_litert import schema_py_generated as schema

    builtin_names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.Model.GetRootAsModel(content, 0)
    names = []
    for i in range(model.OperatorCodesLength()):
        operator = model.OperatorCodes(i)
        # Two fields: the newer one holds the codes that the older one has no room for.
        code = max(operator.BuiltinCode(), operator.DeprecatedBuiltinCode())
        custom = code == schema.BuiltinOperator.CUSTOM
        names.append(operator.CustomCode().decode() if custom else builtin_names[code])
    subgraphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return Counter(
        names[graph.Operators(i).OpcodeIndex()]
        for graph in subgraphs
        for i in range(graph.OperatorsLength())
    )

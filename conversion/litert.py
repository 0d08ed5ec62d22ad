"""Runs `.tflite` files in LiteRT's interpreter, and tells which operators they are made of.

Needs NumPy and one of the runtimes `ai_edge_litert` and, where only that is installed, its
forerunner `tflite_runtime`; neither Keras nor TensorFlow.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


MEMORY = 4 << 30
"""Bytes of address space for the process of `check`, beside the file's."""

_REASON_PRINTED = 3
"""Exit status of that process where it can say itself what is wrong."""

Quantization = tuple[float, int]
"""`scale` and `zero_point`: an integer `q` stands for `(q - zero_point) * scale`."""


class TFLiteModel:
    """A `.tflite` file with one input and one output, ready to run.

    Args:
        path: The file.
        num_threads: Number of threads; default: the runtime's.

    Attributes:
        input_shape: `(1, height, width, channels)` of a file that `export_tflite` has written.
        output_shape: `(1, classes)` of a classifier.
        input_dtype: What `__call__` takes: float32, or int8 of a file with int8 input.
        input_quantization: How the input's integers stand for numbers; None of a float input.
        output_quantization: The same of the output.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run, or has several inputs or
            outputs.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int | None = None) -> None:
        self._path = path
        self._interpreter = open_interpreter(path, num_threads)
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
        self.input_dtype: np.dtype[Any] = np.dtype(self._input["dtype"])
        self.input_quantization = _quantization(self._input)
        self.output_quantization = _quantization(self._output)

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
        shape, dtype = self.input_shape, self.input_dtype
        if inputs.shape[1:] != shape[1:] or inputs.dtype != dtype:
            raise ValueError(
                f"Expected inputs of shape (count, {', '.join(map(str, shape[1:]))}) and dtype "
                f"{dtype}. Received: shape {inputs.shape}, dtype {inputs.dtype}"
            )
        outputs = np.empty((len(inputs), *self.output_shape[1:]), self._output["dtype"])
        for i in range(len(inputs)):
            self._interpreter.set_tensor(self._input["index"], inputs[i : i + 1])
            self.invoke()
            outputs[i] = self._interpreter.get_tensor(self._output["index"])[0]
        return outputs

    def invoke(self) -> None:
        """Runs the file on the input that it was last given: what a benchmark times.

        Raises:
            ValueError: If the runtime fails.
        """
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ValueError(
                f"'{self._path}' does not run. Expected an undamaged .tflite file. "
                f"Received: {error}"
            ) from error

    def predict(self, images: Array) -> Array:
        """Runs the file on float inputs, whatever its own dtypes are.

        An integer input gets `round(x / scale) + zero_point`, halves to even, clipped to what its
        dtype holds; an integer output `q` gives `(q - zero_point) * scale`.

        Args:
            images: Float array `(count, ...)`, the rest of the shape being that of `input_shape`;
                normalised images, of a file that `export_tflite` has written.

        Returns:
            float32 array `(count, ...)`, the rest of the shape being that of `output_shape`.

        Raises:
            ValueError: If the images' shape is not the file's.
        """
        inputs = images.astype("float32")
        if self.input_quantization is not None:
            scale, zero_point = self.input_quantization
            limits = np.iinfo(self.input_dtype)
            integers = np.round(inputs / np.float32(scale)) + zero_point
            inputs = np.clip(integers, limits.min, limits.max).astype(self.input_dtype)
        outputs = self(inputs)
        if self.output_quantization is None:
            return outputs.astype("float32", copy=False)
        scale, zero_point = self.output_quantization
        return (outputs.astype("float32") - zero_point) * np.float32(scale)


def _quantization(details: dict[str, Any]) -> Quantization | None:
    scale, zero_point = details["quantization"]
    return (float(scale), int(zero_point)) if scale else None


def open_interpreter(path: str | os.PathLike[str], num_threads: int | None = None) -> Any:
    """Returns the runtime's `Interpreter` of a file, its tensors allocated.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run.
    """
    path = _existing(path)
    interpreter_class = _import_interpreter()
    try:
        interpreter = interpreter_class(str(path), num_threads=num_threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"'{path}' does not load in {interpreter_class.__module__}. Expected a .tflite "
            f"model of built-in operators. Received: {error}"
        ) from error
    return interpreter


def check(path: str | os.PathLike[str]) -> None:
    """Runs a file once on zeros, in a process of its own, as a damaged one may crash the runtime.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file does not load, does not run, or crashes the process.
    """
    path = _existing(path)
    _import_interpreter()
    finished = subprocess.run(
        [sys.executable, "-P", __file__, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if finished.returncode == _REASON_PRINTED:
        raise ValueError(" ".join(finished.stdout.decode().split()))
    if finished.returncode:
        raise ValueError(
            f"'{path}' crashes LiteRT. Expected an undamaged .tflite file. "
            f"Received: exit status {finished.returncode} of the process that ran it"
        )


def _limit_memory(path: str) -> None:
    """Lets this process have no more than a file of that size may need.

    A damaged shape may ask for more than the machine has, and other processes would pay for it.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = MEMORY + 4 * Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _run_once(path: str) -> None:
    """What the process of `check` does."""
    interpreter = open_interpreter(path)
    for details in interpreter.get_input_details():
        zeros = np.zeros(details["shape"], details["dtype"])
        interpreter.set_tensor(details["index"], zeros)
    interpreter.invoke()


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .tflite file. Received: nothing at '{path}'")
    return path


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


if __name__ == "__main__":
    try:
        _limit_memory(sys.argv[1])
        _run_once(sys.argv[1])
    except ValueError as error:
        print(error)
        sys.exit(_REASON_PRINTED)
    except (MemoryError, RuntimeError) as error:
        print(
            f"'{sys.argv[1]}' does not run in LiteRT. Expected an undamaged .tflite file. "
            f"Received: {type(error).__name__}: {error}"
        )
        sys.exit(_REASON_PRINTED)

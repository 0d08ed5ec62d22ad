"""Runs `.tflite` files in LiteRT's interpreter.

Needs NumPy and one of the runtimes `ai_edge_litert` and, where only that is installed, its
forerunner `tflite_runtime`; neither Keras nor TensorFlow.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MEMORY = 4 << 30
"""Bytes of address space for the process of `check`, beside the file's."""

TIME = 60.0
"""Seconds for the same process."""

_LONGEST_REASON = 2000
"""Characters of it: the runtime repeats names of the file, however long."""

_REASON_PRINTED = 3
"""Exit status of that process where it can say itself what is wrong."""

Quantization = tuple[float, int]
"""`scale` and `zero_point`: an integer `q` stands for `(q - zero_point) * scale`."""


class TFLiteFile:
    """A `.tflite` file with one input, ready to run.

    Args:
        path: The file.
        num_threads: Number of threads; default: the runtime's.

    Attributes:
        input_shape: `(1, height, width, channels)` of a file that `export_tflite` has written.
        input_dtype: What it takes: float32, or int8 of a file with int8 input.
        input_quantization: How the input's integers stand for numbers; None of a float input.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file is no `.tflite` that the runtime can run, or has several inputs.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int | None = None) -> None:
        self._path = path
        self._interpreter = open_interpreter(path, num_threads)
        inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._check(len(inputs), len(self._outputs))
        for tensor in (*inputs, *self._outputs):
            if tensor["shape"].tolist()[:1] != [1]:
                raise ValueError(
                    f"'{path}' must take one input at a time: tensors of shape (1, …). Received: "
                    f"one of shape {tuple(tensor['shape'].tolist())}"
                )
        self._input = inputs[0]
        self.input_shape = tuple(self._input["shape"].tolist())
        self.input_dtype: np.dtype[Any] = np.dtype(self._input["dtype"])
        self.input_quantization = _quantization(self._input)

    def _check(self, inputs: int, outputs: int) -> None:
        if inputs != 1:
            raise ValueError(f"'{self._path}' must have one input. Received: {inputs} inputs")

    def run(self, inputs: Array) -> list[Array]:
        """Runs the file on one input after the other.

        Args:
            inputs: Array `(count, ...)` of the file's own dtype, the rest of the shape being that
                of `input_shape`.

        Returns:
            For each output, in the file's order, an array `(count, ...)` of its own dtype.

        Raises:
            ValueError: If the inputs' shape or dtype is not the file's.
        """
        shape, dtype = self.input_shape, self.input_dtype
        if inputs.shape[1:] != shape[1:] or inputs.dtype != dtype:
            raise ValueError(
                f"Expected inputs of shape (count, {', '.join(map(str, shape[1:]))}) and dtype "
                f"{dtype}. Received: shape {inputs.shape}, dtype {inputs.dtype}"
            )
        results = [
            np.empty((len(inputs), *output["shape"].tolist()[1:]), output["dtype"])
            for output in self._outputs
        ]
        for i in range(len(inputs)):
            self._interpreter.set_tensor(self._input["index"], inputs[i : i + 1])
            self.invoke()
            for output, result in zip(self._outputs, results, strict=True):
                result[i] = self._interpreter.get_tensor(output["index"])[0]
        return results

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

    def run_float(self, images: Array) -> list[Array]:
        """Runs the file on float inputs, whatever its own dtypes are.

        An integer input gets `round(x / scale) + zero_point`, halves to even, clipped to what its
        dtype holds; an integer output `q` gives `(q - zero_point) * scale`.

        Args:
            images: Float array `(count, ...)`, the rest of the shape being that of `input_shape`;
                normalised images, of a file that `export_tflite` has written.

        Returns:
            For each output, in the file's order, a float32 array `(count, ...)`.

        Raises:
            ValueError: If the images' shape is not the file's.
        """
        inputs = images.astype("float32")
        if self.input_quantization is not None:
            scale, zero_point = self.input_quantization
            limits = np.iinfo(self.input_dtype)
            integers = np.round(inputs / np.float32(scale)) + zero_point
            inputs = np.clip(integers, limits.min, limits.max).astype(self.input_dtype)
        results = self.run(inputs)
        return [
            _dequantized(x, _quantization(y)) for x, y in zip(results, self._outputs, strict=True)
        ]

    def predict_each(self, images: Array) -> dict[str, Array]:
        """Runs the file on float inputs; see `run_float`. Returns its outputs by name.

        Names are those of the file's signature, of which two may be of one tensor.

        Raises:
            ValueError: If the images' shape is not the file's, or it has no one signature.
        """
        signatures = self._interpreter.get_signature_list()
        if len(signatures) != 1:
            raise ValueError(
                f"'{self._path}' must name its outputs in one signature. "
                f"Received: {len(signatures)} signatures"
            )
        details = self._interpreter.get_signature_runner().get_output_details()
        results = self.run_float(images)
        found = {x["index"]: y for x, y in zip(self._outputs, results, strict=True)}
        return {name: found[tensor["index"]] for name, tensor in details.items()}


class TFLiteModel(TFLiteFile):
    """A `.tflite` file with one input and one output, ready to run.

    Attributes:
        output_shape: `(1, classes)` of a classifier.
        output_quantization: How the output's integers stand for numbers; None of a float output.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int | None = None) -> None:
        super().__init__(path, num_threads)
        (output,) = self._outputs
        self.output_shape = tuple(output["shape"].tolist())
        self.output_quantization = _quantization(output)

    def _check(self, inputs: int, outputs: int) -> None:
        if inputs != 1 or outputs != 1:
            raise ValueError(
                f"'{self._path}' must have one input and one output. "
                f"Received: {inputs} inputs and {outputs} outputs"
            )

    def __call__(self, inputs: Array) -> Array:
        """Runs the file on one input after the other; see `run`. Returns its output."""
        (result,) = self.run(inputs)
        return result

    def predict(self, images: Array) -> Array:
        """Runs the file on float inputs; see `run_float`. Returns its output, float32."""
        (result,) = self.run_float(images)
        return result


def _dequantized(values: Array, quantization: Quantization | None) -> Array:
    if quantization is None:
        return values.astype("float32", copy=False)
    scale, zero_point = quantization
    return (values.astype("float32") - zero_point) * np.float32(scale)


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
        interpreter.get_tensor_details()  # damaged names surface here
        interpreter.get_signature_list()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"'{path}' does not load in {interpreter_class.__module__}. Expected a .tflite "
            f"model of built-in operators. Received: {error}"
        ) from error
    return interpreter


def check(path: str | os.PathLike[str], time_limit: float = TIME) -> None:
    """Runs a file once on zeros, in a process of its own, as a damaged one may crash the runtime.

    Args:
        path: The file.
        time_limit: Seconds after which the process is ended.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If no runtime is installed.
        ValueError: If the file does not load, does not run, crashes the process, or is still
            running at the end of the time limit.
    """
    path = _existing(path)
    _import_interpreter()
    try:
        finished = subprocess.run(
            [sys.executable, "-P", "-X", "utf8", __file__, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"'{path}' does not come to an end in LiteRT. Expected a .tflite file that runs within "
            f"{time_limit:g} s. Received: one that was still running then"
        ) from error
    if finished.returncode == _REASON_PRINTED:
        raise ValueError(" ".join(finished.stdout.split())[:_LONGEST_REASON])
    if finished.returncode:
        raise ValueError(
            f"'{path}' crashes LiteRT. Expected an undamaged .tflite file. "
            f"Received: exit status {finished.returncode} of the process that ran it"
        )


def _limit_memory(path: str) -> None:
    """Lets this process have no more than a file of that size may need.

    A damaged shape may ask for more than the machine has, and other processes would pay for it.
    Where the system has no such limit (Windows) or refuses it (macOS), there is none.
    """
    try:
        import resource
    except ImportError:
        return
    limit = MEMORY + 4 * Path(path).stat().st_size
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            resource.setrlimit(getattr(resource, name), (limit, limit))
            return


def _run_once(path: str) -> None:
    """Runs the file in the process of `check`."""
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

"""What Python's LiteRT gives for a model on random inputs, for the test of Kotlin's engine.

    python -m android_demo.toolchain.expected_logits MODEL.tflite

writes beside it `MODEL_inputs.bin`, 32 inputs of the model, and `MODEL_outputs.bin`, its outputs,
in the tensors' own types and one after another. Needs `pip install "keras-fastvit[convert]"`.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_fastvit.atomic_file import written_beside

COUNT = 32


def main() -> int:
    """Runs the command; returns its exit status."""
    path = Path(sys.argv[1])
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    if image["dtype"] != np.int8:
        sys.exit(f"Expected a model with int8 input. Received: {image['dtype'].__name__}")
    inputs = np.random.default_rng(0).integers(-128, 128, (COUNT, *image["shape"]), np.int8)
    outputs = []
    for values in inputs:
        interpreter.set_tensor(image["index"], values)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output["index"]))
    for name, content in (("inputs", inputs), ("outputs", np.stack(outputs))):
        with written_beside(path.with_name(f"{path.stem}_{name}.bin")) as partial:
            partial.write_bytes(content.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())

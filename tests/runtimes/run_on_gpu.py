"""Runs a `.tflite` file on LiteRT's GPU accelerator alone, on images one by one.

    PYTHONPATH=CHECKOUT python run_on_gpu.py M.tflite IMAGES.npy OUTPUTS.npy

Images are float32, outputs too, whatever the file's own dtypes are. Prints, as JSON, whether the
accelerator took all of the file. Where it does not, LiteRT refuses the file, as it may not fall
back on the CPU: the process exits with 1 and LiteRT's reason. The accelerator itself writes to
stderr which GPU it has.
"""

import json
import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, GpuOptions, HardwareAccelerator, Options

from keras_fastvit.conversion.tflite.runtime import TFLiteModel


class GPUModel(TFLiteModel):
    """A `.tflite` file that runs on the GPU."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # By itself a GPU computes float32 models in float16, where the differences would drown.
        options = Options(HardwareAccelerator.GPU, gpu_options=GpuOptions(enforce_f32=True))
        self.compiled = CompiledModel.from_file(path, options=options)
        self._read_from = self.compiled.create_input_buffers(0)
        self._written_to = self.compiled.create_output_buffers(0)

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        size, dtype = int(np.prod(self.output_shape)), self._outputs[0]["dtype"]
        outputs = []
        for image in inputs:
            self._read_from[0].write(image[None])
            self.compiled.run_by_index(0, self._read_from, self._written_to)
            outputs.append(self._written_to[0].read(size, dtype).reshape(self.output_shape))
        return [np.concatenate(outputs)]


def main(path: str, images_path: str, outputs_path: str) -> None:
    """Runs the command in the module's docstring."""
    model = GPUModel(path)
    np.save(outputs_path, model.predict(np.load(images_path)))
    print(json.dumps({"fully_accelerated": model.compiled.is_fully_accelerated()}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(f"{error}")

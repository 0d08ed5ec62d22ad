"""A run with a teacher in a process that has two CPU devices; the test runs the same on one.

python -m tests.training.training_on_devices DATA OUTPUT WEIGHTS TEACHER
"""

import sys
from dataclasses import replace

import keras
from rich.console import Console

from keras_fastvit.training.classifier import Trained, train
from keras_fastvit.training.recipes import Phase, get_recipe
from tests.models import PAIR

# Distilled, the variant has no drop path: TensorFlow's devices would each draw the same masks.
RECIPE = replace(
    get_recipe("paper_distilled"),
    phases=(Phase(epochs=2, learning_rate=2e-3),),
    batch_size=8,
    image_size=32,
)


def run(data: str, output: str, weights: str, teacher: str) -> Trained:
    console = Console(width=200)
    return train(data, output, PAIR.name, RECIPE, weights=weights, teacher=teacher, console=console)


if __name__ == "__main__":
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    run(*sys.argv[1:])

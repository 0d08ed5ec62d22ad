"""The images of `--run RUN`: those that a finished run was trained on and validated with."""

from pathlib import Path

import numpy as np

from keras_fastvit.images.folders import ImageFolders
from keras_fastvit.training.run_folder import FinishedRun


def training_images(run: FinishedRun) -> list[Path]:
    """Returns the images that the run was trained on."""
    return [_root(run) / image for image in run.data.train.images]


def validation_images(run: FinishedRun) -> ImageFolders:
    """Returns the images that the run was validated with, and none that it was trained on."""
    images = tuple(_root(run) / image for image in run.data.validation.images)
    return ImageFolders(
        run.root, run.data.class_names, images, np.asarray(run.data.validation.labels)
    )


def _root(run: FinishedRun) -> Path:
    if not run.root.is_dir():
        raise FileNotFoundError(
            "The images that the run was trained on are not where they were; other folders can be "
            f"given. Expected: '{run.root}'. Received: nothing there"
        )
    return run.root

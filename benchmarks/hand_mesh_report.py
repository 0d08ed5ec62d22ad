"""The table and the picture of `benchmarks.hand_mesh`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.rendering import rasterize, vertex_normals
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.tasks import HandModel

MESH_SIDE = 192
"""Pixels of a drawn mesh's side."""

HAND_SIDE = 0.22
"""Metres that it shows."""


@dataclass(frozen=True)
class Errors:
    """Mean distances of predicted points from the true ones, over all hands.

    Attributes:
        mpjpe: Of joints relative to the wrist, in millimetres.
        pa_mpjpe: Of joints after Procrustes alignment, in millimetres.
        mpvpe: Of vertices relative to the wrist, in millimetres.
        pa_mpvpe: Of vertices after Procrustes alignment, in millimetres.
        pixels: Of joints in the image, in pixels.
    """

    mpjpe: float
    pa_mpjpe: float
    mpvpe: float
    pa_mpvpe: float
    pixels: float


def to_json(errors: Mapping[str, Errors], facts: Mapping[str, float]) -> str:
    """The content of `hand_mesh.json`."""
    rows = {name: asdict(row) for name, row in errors.items()}
    return json.dumps({**facts, "errors": rows}, indent=1) + "\n"


def to_markdown(errors: Mapping[str, Errors], facts: Mapping[str, float]) -> str:
    """The content of `hand_mesh.md`."""
    lines = [
        "# Hand meshes: the head on rendered synthetic hands",
        "",
        f"Written by `make bench-hand-mesh`: a FastViT-T8 at 64×64 with `HandMesh`, trained for "
        f"{facts['epochs']} epochs on {facts['training_images']:,} pictures, and measured on "
        f"{facts['test_images']:,} others. int8 is calibrated on training pictures.",
        "",
        "Hand and pictures are synthetic: turned by up to 60° about any axis, fingers bent at "
        "random within a hand's limits. These are no numbers on FreiHAND, where the paper reports "
        "PA-MPJPE on photographs of real hands.",
        "",
        "| | MPJPE, mm | PA-MPJPE, mm | MPVPE, mm | PA-MPVPE, mm | joints in the image, pixels |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in errors.items():
        cells = (row.mpjpe, row.pa_mpjpe, row.mpvpe, row.pa_mpvpe, row.pixels)
        lines.append(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    lines += [
        "",
        "MPJPE, MPVPE: joints and vertices relative to the wrist; PA-: after Procrustes alignment. "
        "The mean hand has the training set's mean parameters, whatever the picture shows.",
        "",
        f"int8's parameters have {facts['int8_sqnr_db']:.1f} dB of signal to noise; `export` keeps "
        f"a file from {PRECISIONS['int8'].smallest_sqnr_db:g} dB on.",
        "",
        "![Test pictures, true and predicted joints, predicted meshes](hand_mesh.png)",
    ]
    return "\n".join(lines) + "\n"


def plot(
    images: Array, true: Array, predicted: Array, vertices: Array, model: HandModel, path: Path
) -> None:
    """Draws hands in columns: the picture, both skeletons on it, the predicted mesh.

    Args:
        images: uint8 `(hands, side, side, 3)`.
        true: Joints `(hands, 16, 2)` in half image sides.
        predicted: The same of int8.
        vertices: `(hands, vertices, 3)` of int8 in metres.
        model: Whose hands they are.
        path: Of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    count, side = len(images), images.shape[1]
    figure, axes = plt.subplots(3, count, figsize=(1.5 * count, 4.9), squeeze=False)
    for column in range(count):
        for row in range(2):
            axes[row, column].imshow(images[column], extent=(-1, 1, 1, -1))
        for joints, colour, name in ((true, "white", "true"), (predicted, "red", "predicted")):
            for joint, parent in enumerate(model.parents[1:], 1):
                x, y = joints[column, [parent, joint]].T
                label = name if column == 0 and joint == 1 else None
                axes[1, column].plot(x, y, color=colour, linewidth=1.2, label=label)
        axes[1, column].set(xlim=(-1, 1), ylim=(1, -1))
        axes[2, column].imshow(_mesh(vertices[column].astype("float64"), model.f))
    for axis in axes.flat:
        axis.axis("off")
    for row, title in enumerate(
        (f"{side}×{side} pixels", "joints: white true, red int8", "mesh of int8")
    ):
        axes[row, 0].set_title(title, fontsize=8, loc="left")
    figure.tight_layout(pad=0.4)
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, dpi=130)
    plt.close(figure)


def _mesh(vertices: Array, faces: Array) -> Array:
    """A mesh in the middle of a light ground, lit from the camera."""
    shade = 0.35 + 0.6 * np.clip(-vertex_normals(vertices, faces)[:, 2:], 0, 1)
    canvas = np.ones((MESH_SIDE, MESH_SIDE, 3))
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    points = (vertices - middle) * MESH_SIDE / HAND_SIDE + (MESH_SIDE / 2, MESH_SIDE / 2, 0)
    rasterize(points, shade * (0.75, 0.82, 1.0), faces, canvas)
    return canvas

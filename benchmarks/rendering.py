"""Draws shaded triangle meshes with a z-buffer, in NumPy: 1,000 triangles in milliseconds."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Faces = NDArray[np.int64]

OVERSAMPLING = 2
"""Samples along each side of a pixel, averaged."""


def vertex_normals(vertices: Array, faces: Faces) -> Array:
    """Unit normals `(vertices, 3)`, the mean of the triangles' around, by their areas.

    Args:
        vertices: `(vertices, 3)`.
        faces: `(faces, 3)`, corners in the order in which the cross product of the first two edges
            points outwards.
    """
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    areas = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], areas)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals / np.maximum(length, 1e-12)


def rasterize(points: Array, colours: Array, faces: Faces, canvas: Array) -> None:
    """Draws one mesh; what is nearer to the camera hides what is behind it.

    Args:
        points: `(vertices, 3)`: x to the right and y down in pixels, and the depth.
        colours: `(vertices, 3)`, blended within a triangle.
        faces: `(faces, 3)`, as for `vertex_normals`; those that face away are not drawn.
        canvas: `(height, width, 3)`, which is drawn on.
    """
    height, width, _ = canvas.shape
    a, b, c = np.moveaxis(points[faces], 1, 0)
    # The z of the outward normal: negative where a triangle faces the camera.
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    front = area < -1e-9
    faces, a, b, c, area = faces[front], a[front], b[front], c[front], area[front]

    # All pixels of all triangles' bounding boxes at once.
    corners = np.stack([a, b, c])[..., :2]
    low = np.clip(np.ceil(corners.min(axis=0) - 0.5), 0, (width, height)).astype("int64")
    high = np.clip(np.ceil(corners.max(axis=0) - 0.5), 0, (width, height)).astype("int64")
    sides = high - low
    counts = sides[:, 0] * sides[:, 1]
    which = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[which, 0] + place % sides[which, 0]
    row = low[which, 1] + place // sides[which, 0]

    x, y = column + 0.5, row + 0.5
    a, b, c, area = a[which], b[which], c[which], area[which]
    second = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    third = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / area
    shares = np.stack([1 - second - third, second, third], axis=-1)
    inside = (shares >= 0).all(axis=-1)
    shares, row, column, which = shares[inside], row[inside], column[inside], which[inside]
    depth = np.sum(shares * points[faces[which], 2], axis=-1)
    # Of what is written to one place the last remains: the nearest.
    order = np.argsort(-depth, kind="stable")
    blended = np.sum(shares[..., None] * colours[faces[which]], axis=1)
    canvas[row[order], column[order]] = blended[order]


def background(side: int, rng: np.random.Generator) -> Array:
    """Coloured patches, smooth or in blocks, with grain: `(side, side, 3)` in 0..1."""
    cells = int(rng.integers(1, 9))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype="uint8"))
    way = rng.choice([Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
    patches = np.asarray(coarse.resize((side, side), Image.Resampling(int(way)))) / 255
    contrast, grain = rng.uniform(0.2, 1.0), rng.uniform(0, 0.08)
    base = rng.uniform(0, 1, 3)
    mixed = base + contrast * (patches - base) + grain * rng.normal(size=(side, side, 1))
    clipped: Array = np.clip(mixed, 0, 1)
    return clipped


def render(
    vertices: Array, image_points: Array, faces: Faces, side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draws a hand of a random skin colour, in random light, before a random background.

    Args:
        vertices: `(vertices, 3)` in metres; z points away from the camera.
        image_points: `(vertices, 2)`: where they are in the image, in half image sides from its
            centre.
        faces: `(faces, 3)`, as for `vertex_normals`.
        side: Of the image, in pixels.
        rng: Where the randomness comes from.

    Returns:
        `(side, side, 3)` in 0..255.
    """
    fine = side * OVERSAMPLING
    normals = vertex_normals(vertices, faces)
    light = rng.normal(size=3) * (1, 1, 0.5) + (0, 0, -1.5)  # From the camera's side.
    light /= np.linalg.norm(light)
    ambient = rng.uniform(0.25, 0.6)
    shade = ambient + (1 - ambient) * np.clip(normals @ light, 0, 1)
    dark, pale = np.array([0.25, 0.14, 0.09]), np.array([1.0, 0.80, 0.69])
    skin = dark + rng.uniform() * (pale - dark) + rng.normal(0, 0.03, 3)
    tint = rng.uniform(0.8, 1.1, 3)
    colours = skin * tint * shade[:, None] * (1 + rng.normal(0, 0.02, (len(vertices), 1)))

    canvas = background(fine, rng)
    points = np.concatenate([(image_points + 1) * fine / 2, vertices[:, 2:]], axis=1)
    rasterize(points, colours, faces, canvas)
    pixels = canvas.reshape(side, OVERSAMPLING, side, OVERSAMPLING, 3).mean(axis=(1, 3))
    pixels = pixels * rng.uniform(0.8, 1.15) + rng.normal(0, rng.uniform(0, 0.03), pixels.shape)
    return np.round(255 * np.clip(pixels, 0, 1)).astype("uint8")

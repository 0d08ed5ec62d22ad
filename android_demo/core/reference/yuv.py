"""YUV 4:2:0 frames as cameras give them, and their RGB by BT.601, independent of the Kotlin code.

The equations are those of ITU-R BT.601-7, section 2.5, in float64 from Kr and Kb; what Kotlin's
`YuvToRgb` documents of its rounding (factors of 16 fractional bits, halves up) is followed here.
"""

from dataclasses import dataclass

import numpy as np

from keras_fastvit.arrays import Array

KR, KB = 0.299, 0.114
KG = 1 - KR - KB
BITS = 16
LAYOUTS = ("NV12", "NV21", "I420")
RANGES = ("FULL", "LIMITED")


@dataclass(frozen=True)
class Planes:
    """A frame.

    Attributes:
        y: uint8 `(height, width)`.
        u: uint8 `(ceil(height / 2), ceil(width / 2))`, blue difference.
        v: uint8 of the shape of `u`, red difference.
        range: `"FULL"` or `"LIMITED"`.
    """

    y: Array
    u: Array
    v: Array
    range: str

    @classmethod
    def of_photo(cls, photo: Array, range: str) -> "Planes":
        """Makes a frame of RGB pixels `(height, width, 3)`."""
        luma, chroma, black = _scales(range)
        rgb = photo.astype(float)
        y = rgb @ (KR, KG, KB)
        u = _halved((rgb[..., 2] - y) / (2 * (1 - KB)) / chroma + 128)
        v = _halved((rgb[..., 0] - y) / (2 * (1 - KR)) / chroma + 128)
        return cls(_rounded(y / luma + black), _rounded(u), _rounded(v), range)

    def to_rgb(self) -> Array:
        """Returns uint8 `(height, width, 3)`."""
        luma, chroma, black = _scales(self.range)
        y = self.y.astype(int) - black
        u, v = (_doubled(plane.astype(int) - 128, y.shape) for plane in (self.u, self.v))
        red = 2 * (1 - KR) * chroma
        blue = 2 * (1 - KB) * chroma
        sums = (
            _fixed(luma) * y + _fixed(red) * v,
            _fixed(luma) * y - _fixed(blue * KB / KG) * u - _fixed(red * KR / KG) * v,
            _fixed(luma) * y + _fixed(blue) * u,
        )
        values = np.floor_divide(np.stack(sums, -1) + 2 ** (BITS - 1), 2**BITS)
        return np.clip(values, 0, 255).astype("uint8")

    def to_bytes(self, layout: str, row_stride: int, noise: np.random.Generator) -> bytes:
        """Lays the planes out in memory, as `YuvFrame.of` reads them.

        Args:
            layout: One of `LAYOUTS`.
            row_stride: Bytes of a row of Y; rows of U and V have half of it, rounded up, each.
            noise: What is between the rows.
        """
        half = (row_stride + 1) // 2
        first, second = (self.v, self.u) if layout == "NV21" else (self.u, self.v)
        rows, columns = first.shape
        memory = [_padded(self.y, row_stride, noise)]
        if layout == "I420":
            memory += [_padded(first, half, noise), _padded(second, half, noise)]
        else:
            mixed = np.stack([first, second], -1).reshape(rows, 2 * columns)
            memory.append(_padded(mixed, 2 * half, noise))
        return b"".join(plane.tobytes() for plane in memory)


def _scales(range: str) -> tuple[float, float, int]:
    return (1.0, 1.0, 0) if range == "FULL" else (255 / 219, 255 / 224, 16)


def _fixed(factor: float) -> int:
    return round(factor * 2**BITS)


def _rounded(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype("uint8")


def _halved(plane: Array) -> Array:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    return np.asarray(even.reshape(-1, 2, even.shape[1] // 2, 2).mean(axis=(1, 3)))


def _doubled(plane: Array, shape: tuple[int, ...]) -> Array:
    return plane.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]


def _padded(plane: Array, row_stride: int, noise: np.random.Generator) -> Array:
    rows, columns = plane.shape
    padding = noise.integers(0, 256, (rows, row_stride - columns), "uint8")
    return np.concatenate([plane, padding], axis=1)

"""Reading an image file that a stranger made: a whole, upright RGB picture or a clear refusal."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_fastvit.plain_text import in_short, shown

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats of pictures, decoded inside the process. Pillow knows more, EPS among them, which it
# hands to Ghostscript: such an image is a program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

SMALLEST_SIDE = 2
"""In pixels. A side of 1 shows nothing; such files are tracking pixels and accidents."""

_NAMED = 5

# `warnings.catch_warnings` swaps state of the whole process: one thread at a time.
_warning_filters = threading.Lock()


def read_rgb(path: str | os.PathLike[str]) -> "Image":
    """Decodes a file's first picture, turns it upright (EXIF orientation), converts it to RGB.

    Transparency is dropped, not blended: the colours below it show. Of 16-bit grey the high
    byte is kept, as Pillow does for 16-bit colour.

    Args:
        path: A file in one of `FORMATS`.

    Returns:
        A `PIL.Image.Image` of mode `"RGB"`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the file is a directory, is empty, is not an image, is truncated or
            damaged, has a side under `SMALLEST_SIDE` pixels, has more than
            `PIL.Image.MAX_IMAGE_PIXELS` pixels, or pixels without a defined range (float,
            32-bit integer).
    """
    from PIL import Image, ImageOps

    data = _read_bytes(path)
    with _decoding(path, data), _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        file_image = Image.open(BytesIO(data), formats=_available_formats())
    if min(file_image.size) < SMALLEST_SIDE:
        width, height = file_image.size
        raise refusal(
            path, f"sides of at least {SMALLEST_SIDE} pixels", f"width {width}, height {height}"
        )
    with _decoding(path, data):
        file_image.load()

    image: Image.Image = file_image
    # Damaged EXIF beside whole pixels: no orientation is known, so none is applied.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)

    if image.mode.startswith("I;16") or (
        # How Pillow opens 16-bit PGM files, and its older versions 16-bit PNG files.
        image.mode == "I" and file_image.format in ("PNG", "PPM")
    ):
        # Pillow's own conversion would turn everything above 255 white.
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    elif image.mode in ("I", "F"):
        raise refusal(path, "8 or 16 bits a channel", f"32 bits a channel (mode {image.mode!r})")
    with _decoding(path, data):
        if image.mode == "P" and "transparency" in image.info:
            # Straight to RGB gives the same colours and a warning.
            image = image.convert("RGBA")
        return image.convert("RGB")


def pixel_limit() -> int | None:
    """Returns the most pixels an image may have: Pillow's guard against decompression bombs."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS


def image_suffixes() -> set[str]:
    """Returns the suffixes, in lower case, of files in one of `FORMATS`."""
    from PIL import Image

    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}


def named(files: Iterable[Path]) -> str:
    """Returns the number and the first few names of files that could not be used.

    >>> named(Path(name) for name in ("a.txt", "b.mp4"))
    '2 (a.txt, b.mp4)'
    """
    names = [shown(path.name) for path in files]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} ({', '.join(names[:_NAMED])}{more})"


def refusal(path: str | os.PathLike[str], expected: str, received: str) -> ValueError:
    """Returns the error for a file that is not what it should be."""
    return ValueError(f"Cannot use '{path}' as an image: expected {expected}. Received: {received}")


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(
            f"There is no image file '{path}': expected the path of an existing file. "
            f"Received: path={str(path)!r}"
        )
    if not file.is_file():
        kind = "a directory" if file.is_dir() else "neither a file nor a directory"
        raise refusal(path, "a file", kind)
    data = file.read_bytes()
    if not data:
        raise refusal(path, "an image file", "an empty file (0 bytes)")
    return data


def _available_formats() -> list[str]:
    """The formats that this build of Pillow decodes; it raises KeyError for the others."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextlib.contextmanager
def _decoding(path: str | os.PathLike[str], data: bytes) -> Iterator[None]:
    """Turns what Pillow raises over `data` into one clear error."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError as error:
        received = f"{len(data)} bytes that begin with {data[:16]!r}"
        formats = ", ".join(_available_formats())
        raise refusal(path, f"an image ({formats})", received) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow warns above its limit and raises above twice that; here there is one limit.
        expected = f"at most {pixel_limit()} pixels (PIL.Image.MAX_IMAGE_PIXELS)"
        raise refusal(path, expected, str(error).partition(" exceeds")[0]) from error
    except Exception as error:
        # Damaged data surfaces in many ways: OSError, SyntaxError, struct.error, ...
        received = (
            f"{len(data)} bytes that fail to decode ({type(error).__name__}: {in_short(error)})"
        )
        raise refusal(path, "a complete, undamaged image", received) from error

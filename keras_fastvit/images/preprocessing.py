"""From an image file to the model's input, and from the model's output to names.

`load_image` -> `preprocess_input` -> model -> `decode_predictions`. The pixels are those of
timm's evaluation transform, so a ported checkpoint sees here what it saw when its accuracy
was measured.
"""

import functools
import math
import operator
import os
from collections.abc import Sequence
from importlib import resources
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_fastvit.images.files import pixel_limit, read_rgb, refusal
from keras_fastvit.images.normalizations import NORMALIZATIONS


def preprocess_input(
    x: Any, data_format: str | None = None, normalization: str = "imagenet"
) -> Any:
    """Normalises RGB images with a mean and a standard deviation, by default ImageNet's.

    `(x / 255 - mean) / std`, channel by channel: the values that the FastViT checkpoints were
    trained on. MobileCLIP's image towers want others: `get_variant(name).normalization`.

    Args:
        x: NumPy array, tensor of the active backend, `tf.Tensor` (inside `tf.data` with any
            backend) or `KerasTensor`, of shape `(..., height, width, 3)`, or
            `(..., 3, height, width)` if channels come first. RGB, values 0..255, of any
            integer or float dtype. It is not modified.
        data_format: `"channels_last"` or `"channels_first"`. `None` means
            `keras.config.image_data_format()`.
        normalization: Whose mean and standard deviation: `"imagenet"`, `"clip"` (the towers MCi3
            and MCi4), `"unit"` for 0 and 1 (MCi0 to MCi2), or `"pixels"` for none, of a model that
            normalises them itself.

    Returns:
        The normalised images in float32, same shape. A NumPy array for a NumPy array,
        otherwise a tensor.

    Raises:
        ValueError: If `data_format` or `normalization` is unknown, or `x` is not an array of RGB
            images.

    Example:
    >>> white = np.full((1, 4, 4, 3), 255, dtype="uint8")
    >>> print(preprocess_input(white, data_format="channels_last")[0, 0, 0].round(2))
    [2.25 2.43 2.64]
    """
    if data_format is None:
        data_format = keras.config.image_data_format()
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(
            "`preprocess_input` expects data_format to be 'channels_first' or 'channels_last'. "
            f"Received: data_format={data_format!r}"
        )
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"`preprocess_input` expects normalization to be one of {', '.join(NORMALIZATIONS)}. "
            f"Received: normalization={normalization!r}"
        )
    channels_last = data_format == "channels_last"
    shape = getattr(x, "shape", None)
    if shape is None:
        raise ValueError(
            "`preprocess_input` expects x to be an array or a tensor of RGB images. "
            f"Received: x of type {type(x).__name__}"
        )
    if len(shape) < 3 or shape[-1 if channels_last else -3] not in (3, None):
        layout = "(..., height, width, 3)" if channels_last else "(..., 3, height, width)"
        raise ValueError(
            f"`preprocess_input` expects RGB images of shape {layout} "
            f"with data_format={data_format!r}. Received: x.shape={tuple(shape)}"
        )

    per_channel = (3,) if channels_last else (3, 1, 1)
    mean, std = (
        np.array(values, dtype="float32").reshape(per_channel)
        for values in NORMALIZATIONS[normalization]
    )
    if isinstance(x, np.ndarray):
        x = np.array(x, dtype="float32")
    elif _is_foreign_tensorflow_tensor(x):
        import tensorflow as tf

        x = tf.cast(x, tf.float32)
    else:
        x = ops.cast(x, "float32")
        mean, std = ops.convert_to_tensor(mean), ops.convert_to_tensor(std)
    return (x / 255.0 - mean) / std


def load_image(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] = 256,
    crop_pct: float = 0.9,
    interpolation: str = "bicubic",
) -> NDArray[np.uint8]:
    """Reads an image file into the pixels that the model is evaluated on.

    The image is turned upright (EXIF orientation), converted to RGB, resized with
    antialiasing so that its short side measures `floor(size / crop_pct)`, and cropped at the
    centre. From 8-bit files the pixels equal those of timm's evaluation transform
    (`timm.data.create_transform`, `crop_mode="center"`) after the same two conversions.

    Transparency is dropped, not blended. Of 16-bit grey the high byte is kept, as Pillow does
    for 16-bit colour. Of an animation the first frame is read.

    Args:
        path: An AVIF, BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF or WebP file.
        size: Side of the result in pixels, or `(height, width)`.
        crop_pct: Part of the resized image that the crop keeps along its tighter side,
            `0 < crop_pct <= 1`. With 1 nothing is cut off a square image.
        interpolation: `"bicubic"` or `"bilinear"`.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, 0..255, ready for `preprocess_input`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If an argument is out of range, or the file is a directory, is empty, is
            not an image, is truncated or damaged, has a side under 2 pixels, has pixels
            without a defined range (float, 32-bit integer), or would take more than
            `PIL.Image.MAX_IMAGE_PIXELS` pixels, decoded or resized.

    Example:
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (60, 40), "orange").save(f"{folder}/orange.png")
    ...     pixels = load_image(f"{folder}/orange.png", size=32)
    >>> pixels.shape, pixels[0, 0].tolist()
    ((32, 32, 3), [255, 165, 0])
    """
    from PIL.Image import Resampling

    filters = {"bicubic": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}
    if interpolation not in filters:
        raise ValueError(
            f"`load_image` expects interpolation to be one of {sorted(filters)}. "
            f"Received: interpolation={interpolation!r}"
        )
    if not 0 < crop_pct <= 1:
        raise ValueError(f"`load_image` expects 0 < crop_pct <= 1. Received: crop_pct={crop_pct!r}")
    height, width = _height_and_width(size)

    image = read_rgb(path)
    resized = _resized_size(image.size, height, width, crop_pct)
    limit = pixel_limit()
    if limit is not None and math.prod(resized) > limit:
        # A very narrow image: its long side would take gigabytes, nearly all of them cropped.
        raise refusal(
            path,
            f"at most {limit} pixels (PIL.Image.MAX_IMAGE_PIXELS) after resizing",
            "{}x{} pixels, resized to {}x{} (width x height)".format(*image.size, *resized),
        )
    image = image.resize(resized, filters[interpolation])
    # Halves round to even, Python's rule and timm's: a margin of 5 leaves 2 on the left.
    left = round((image.width - width) / 2)
    top = round((image.height - height) / 2)
    return np.array(image.crop((left, top, left + width, top + height)))


def decode_predictions(
    preds: Any, top: int = 5, class_names: Sequence[str] | None = None
) -> list[list[tuple[str | int, str, Any]]]:
    """Names the best classes of each prediction, in `keras.applications`' form.

    Args:
        preds: Array or tensor of scores, one row an image, of shape `(batch, 1000)`, or
            `(batch, len(class_names))`.
        top: How many classes to return for each image. All of them if there are fewer.
        class_names: Names of the classes of another data set, by label. `None` means the
            1,000 classes of ImageNet.

    Returns:
        For each image a list of tuples `(wordnet_id, class_name, score)`, best first, equal
        scores in the order of their labels. With `class_names`, where there is no WordNet
        id, the label takes its place: `(label, class_name, score)`.

    Raises:
        ValueError: If the shape of `preds` does not fit, a score is NaN, or `top` is under 1.

    Example:
    >>> scores = np.array([[0.1, 0.7, 0.2]])
    >>> decoded = decode_predictions(scores, top=2, class_names=["cat", "dog", "fox"])
    >>> [(label, name, float(score)) for label, name, score in decoded[0]]
    [(1, 'dog', 0.7), (2, 'fox', 0.2)]
    """
    if isinstance(class_names, str):
        raise ValueError(
            "`decode_predictions` expects class_names to be a sequence of names; those of a "
            "known data set come from `keras_fastvit.images.preprocessing.class_names`. "
            f"Received: class_names={class_names!r}"
        )
    if top < 1:
        raise ValueError(f"`decode_predictions` expects top to be at least 1. Received: top={top}")
    classes: Sequence[tuple[str | int, str]]
    classes = _imagenet_classes() if class_names is None else list(enumerate(class_names))
    shape = getattr(preds, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != len(classes):
        received = f"a {type(preds).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise ValueError(
            "`decode_predictions` expects a batch of predictions, an array of shape "
            f"(batch, {len(classes)}). Received: {received}"
        )
    scores = ops.convert_to_numpy(preds)
    if np.isnan(scores).any():
        raise ValueError(
            "`decode_predictions` expects scores that can be ranked. Received: NaN scores in "
            f"rows {np.flatnonzero(np.isnan(scores).any(axis=1)).tolist()}"
        )
    decoded = []
    for row in scores:
        # Sorted back to front twice, a stable ascending sort is a stable descending one.
        # Sorting -row would be wrong for unsigned scores.
        best_first = len(row) - 1 - np.argsort(row[::-1], kind="stable")[::-1]
        decoded.append([(*classes[label], row[label]) for label in best_first[:top]])
    return decoded


def class_names(dataset: str) -> tuple[str, ...]:
    """Returns the names of a data set's classes, by label.

    Args:
        dataset: `"imagenet"` (1,000 names in `keras.applications`' spelling; "crane" and
            "maillot" each name two classes) or `"fashion_mnist"` (10 names).

    Raises:
        ValueError: If the data set is unknown.

    Example:
    >>> class_names("fashion_mnist")[9]
    'Ankle boot'
    """
    if dataset == "imagenet":
        return tuple(name for _, name in _imagenet_classes())
    if dataset == "fashion_mnist":
        return tuple(_data_lines("fashion_mnist_classes.txt"))
    raise ValueError(
        "`class_names` expects dataset to be 'imagenet' or 'fashion_mnist'. "
        f"Received: dataset={dataset!r}"
    )


def _is_foreign_tensorflow_tensor(x: Any) -> bool:
    """Returns whether `keras.ops` of the active backend cannot trace `x`, as in a `tf.data` map."""
    return (
        keras.config.backend() != "tensorflow"
        and type(x).__module__.partition(".")[0] == "tensorflow"
    )


def _height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    sides = size if isinstance(size, (tuple, list)) else (size, size)
    try:
        height, width = map(operator.index, sides)
        if min(height, width) >= 1:
            return height, width
    except (TypeError, ValueError):
        pass
    raise ValueError(
        "`load_image` expects size to be a positive integer or a pair (height, width) of them. "
        f"Received: size={size!r}"
    )


def _resized_size(
    image_size: tuple[int, int], height: int, width: int, crop_pct: float
) -> tuple[int, int]:
    """Returns the (width, height) to resize to before the crop, by timm's two rounding rules."""
    image_width, image_height = image_size
    target_height, target_width = math.floor(height / crop_pct), math.floor(width / crop_pct)
    if target_height == target_width:
        # Square: the short side takes the target's, the long side rounds down.
        if image_width <= image_height:
            return target_width, int(target_height * image_height / image_width)
        return int(target_width * image_width / image_height), target_height
    # Otherwise the image covers the target as tightly as it can, and both sides round.
    ratio = min(image_height / target_height, image_width / target_width)
    return round(image_width / ratio), round(image_height / ratio)


@functools.cache
def _imagenet_classes() -> tuple[tuple[str, str], ...]:
    """The (WordNet id, name) pairs of ImageNet-1k, by label."""
    pairs = (line.split(" ") for line in _data_lines("imagenet_classes.txt"))
    return tuple((wordnet_id, name) for wordnet_id, name in pairs)


def _data_lines(file_name: str) -> list[str]:
    file = resources.files("keras_fastvit") / "data" / file_name
    return file.read_text(encoding="utf-8").splitlines()

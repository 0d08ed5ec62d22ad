"""Pixels in, names out.

The pixels are checked twice: against arithmetic written out here, and against checksums of what
timm made of the same photographs (`fixtures/make_timm_eval_transform.py`). Photographs are in
colour and stored without loss.
"""

import hashlib
import io
import json
import os
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import skimage.data
from keras import ops
from PIL import EpsImagePlugin, Image

from keras_fastvit.images.normalizations import IMAGENET_MEAN, IMAGENET_STD
from keras_fastvit.images.preprocessing import (
    class_names,
    decode_predictions,
    load_image,
    preprocess_input,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
TIMM_RECORDS = json.loads((FIXTURES / "timm_eval_transform.json").read_text(encoding="utf-8"))

# The table behind keras.applications.imagenet_utils.decode_predictions, as Keras pins it.
KERAS_CLASS_INDEX_MD5 = "c2c37ea517e94d9795004a39431a14cb"

# A 64x64 piece of the cat's face: no two channels, rows or columns are alike.
FACE = skimage.data.chelsea()[80:144, 120:184]


def save(path, pixels, mode=None, **options):
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def load_unscaled(path):
    """Loads a square image with neither a resize nor a crop."""
    with Image.open(path) as image:
        return load_image(path, size=image.size[0], crop_pct=1.0)


def png_bytes(width, height, bit_depth, colour_type, rows=b""):
    """Writes a PNG by hand, for headers and depths that Pillow does not write."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def png_rows(samples):
    """Lays out an array (height, width, channels) of big-endian samples as unfiltered rows."""
    return b"".join(b"\0" + row.tobytes() for row in samples)


# --- load_image: the pixels -------------------------------------------------------------------


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "record", TIMM_RECORDS, ids=lambda r: f"{r['photo']}{r['rows']}{r['columns']}"
)
def test_pixels_equal_timms_evaluation_transform(record, tmp_path):
    photo = getattr(skimage.data, record["photo"])()
    pixels = np.ascontiguousarray(photo[slice(*record["rows"]), slice(*record["columns"])])
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == record["sha256"], "another photograph"
    path = save(tmp_path / "photo.png", pixels)
    different = []
    for case in record["cases"]:
        size = case["size"] if isinstance(case["size"], int) else tuple(case["size"])
        loaded = load_image(path, size, case["crop_pct"], case["interpolation"])
        if hashlib.sha256(loaded.tobytes()).hexdigest() != case["sha256"]:
            different.append((size, case["crop_pct"], case["interpolation"]))
    assert not different


def keys_cubic(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def resampling_matrix(kernel, size_in, size_out):
    """Rows of weights: the kernel, widened by the reduction so that it averages (antialiasing)."""
    scale = size_in / size_out
    centres = (np.arange(size_out) + 0.5) * scale
    offsets = np.arange(size_in) + 0.5 - centres[:, None]
    weights = kernel(offsets / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)


def resample(pixels, kernel, shape, axes):
    """Resizes along one axis, then along the other, each time to whole levels of 0..255."""
    x = pixels.astype("float64")
    for axis in axes:
        matrix = resampling_matrix(kernel, x.shape[axis], shape[axis])
        x = np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)
        x = np.clip(np.floor(x + 0.5), 0, 255)
    return x


# Photograph, rows, columns; size, crop_pct; resized height and width, top and left of the crop,
# worked out by hand. Margins that halve to .5 go to the even side: 2.5 to 2, 10.5 to 10, 3.5 to 4.
GEOMETRY = [
    ("coffee", (0, 400), (0, 600), 256, 0.9, (284, 426), (14, 85)),
    ("chelsea", (0, 299), (0, 451), 97, 0.95, (102, 153), (2, 28)),
    ("coffee", (0, 400), (150, 450), (97, 75), 0.9, (111, 83), (7, 4)),
    ("coffee", (0, 400), (0, 600), (64, 128), 1.0, (85, 128), (10, 0)),
    ("chelsea", (100, 123), (150, 187), 64, 0.9, (71, 114), (4, 25)),
    ("astronaut", (0, 512), (200, 231), 45, 1.0, (743, 45), (349, 0)),
    ("astronaut", (0, 512), (0, 512), 224, 0.875, (256, 256), (16, 16)),
    ("chelsea", (2, 299), (100, 233), 97, 0.9, (238, 107), (70, 5)),
]


@pytest.mark.single_backend
@pytest.mark.parametrize(("name", "kernel"), [("bicubic", keys_cubic), ("bilinear", triangle)])
@pytest.mark.parametrize("case", GEOMETRY, ids=lambda c: f"{c[0]}-{c[3]}-{c[4]}-{c[5]}")
def test_pixels_equal_antialiased_resampling_and_centre_crop(case, name, kernel, tmp_path):
    photo, rows, columns, size, crop_pct, resized, (top, left) = case
    pixels = getattr(skimage.data, photo)()[slice(*rows), slice(*columns)]
    height, width = (size, size) if isinstance(size, int) else size

    loaded = load_image(save(tmp_path / "photo.png", pixels), size, crop_pct, name)

    assert loaded.dtype == np.uint8
    assert loaded.shape == (height, width, 3)
    differences = []
    # Along the rows first; Pillow 13 begins with the columns where it shrinks a tall image.
    for axes in ((1, 0), (0, 1)):
        expected = resample(pixels, kernel, resized, axes)
        expected = expected[top : top + height, left : left + width]
        differences.append(np.abs(loaded - expected))
    assert min(map(np.max, differences)) <= 1
    # Pillow's weights are integers of 22 bits: what lies half-way may round the other way.
    assert min((difference > 0).mean() for difference in differences) < 5e-3


@pytest.mark.single_backend
def test_defaults_are_those_of_the_checkpoints(tmp_path):
    path = save(tmp_path / "photo.png", skimage.data.coffee())
    explicit = load_image(path, (256, 256), 0.9, "bicubic")
    np.testing.assert_array_equal(load_image(str(path)), explicit)


@pytest.mark.single_backend
def test_result_is_a_writable_array_of_its_own(tmp_path):
    path = save(tmp_path / "photo.png", FACE)
    first = load_image(path, 32)
    first[:] = 0
    assert load_image(path, 32).any()


# What to do with the stored rows and columns to see the picture upright, from the meaning of the
# EXIF values: 6 for instance says "row 0 of the file is the right-hand side of the picture".
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.single_backend
@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation_is_applied(orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = skimage.data.chelsea()[:299, 50:411]
    path = save(tmp_path / f"turned.{suffix}", stored, exif=exif)
    if suffix == "jpg":
        with Image.open(path) as image:
            stored = np.asarray(image)
    upright = save(tmp_path / "upright.png", np.ascontiguousarray(UPRIGHT[orientation](stored)))
    for size in (64, (45, 71)):
        np.testing.assert_array_equal(load_image(path, size), load_image(upright, size))


@pytest.mark.single_backend
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"junk", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_does_not_cost_the_pixels(exif, tmp_path):
    path = save(tmp_path / "face.png", FACE, exif=exif)
    np.testing.assert_array_equal(load_unscaled(path), FACE)


# --- load_image: colours ----------------------------------------------------------------------


@pytest.mark.single_backend
@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif"])
def test_rgb_keeps_its_channel_order(suffix, tmp_path):
    np.testing.assert_array_equal(load_unscaled(save(tmp_path / f"f.{suffix}", FACE)), FACE)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("jpg", {"quality": 98}),
        ("webp", {"lossless": True}),
        ("avif", {}),
        ("jp2", {}),
        ("gif", {}),
    ],
)
def test_compressed_formats_keep_their_colours(suffix, options, tmp_path):
    loaded = load_unscaled(save(tmp_path / f"face.{suffix}", FACE, **options))
    assert np.abs(loaded.astype(int) - FACE).mean() < 6  # swapped channels: above 20


@pytest.mark.single_backend
def test_grey_becomes_three_equal_channels(tmp_path):
    grey = FACE[..., 0]
    loaded = load_unscaled(save(tmp_path / "grey.png", grey))
    np.testing.assert_array_equal(loaded, np.stack([grey] * 3, axis=-1))


@pytest.mark.single_backend
def test_one_bit_becomes_black_and_white(tmp_path):
    bits = FACE[..., 0] > 128
    loaded = load_unscaled(save(tmp_path / "bits.png", bits))
    np.testing.assert_array_equal(loaded, np.stack([bits * np.uint8(255)] * 3, axis=-1))


@pytest.mark.single_backend
def test_transparency_is_dropped_and_not_blended(tmp_path):
    alpha = FACE[..., 2:] // 2
    rgba = save(tmp_path / "rgba.png", np.concatenate([FACE, alpha], axis=-1))
    np.testing.assert_array_equal(load_unscaled(rgba), FACE)
    grey = FACE[..., :1]
    grey_alpha = save(tmp_path / "la.png", np.concatenate([grey, alpha], axis=-1))
    np.testing.assert_array_equal(load_unscaled(grey_alpha), np.repeat(grey, 3, axis=-1))


@pytest.mark.single_backend
@pytest.mark.parametrize("transparency", [None, 7, bytes(range(256))])
@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_is_looked_up(transparency, suffix, tmp_path):
    image = Image.fromarray(FACE).quantize(200)
    palette = np.array(image.getpalette("RGB"), dtype="uint8").reshape(-1, 3)
    expected = palette[np.asarray(image)]
    options = {} if transparency is None else {"transparency": transparency}
    if suffix == "gif" and isinstance(transparency, bytes):
        options = {"transparency": 0}  # a GIF has one transparent colour
    image.save(tmp_path / f"palette.{suffix}", **options)
    np.testing.assert_array_equal(load_unscaled(tmp_path / f"palette.{suffix}"), expected)


@pytest.mark.single_backend
def test_cmyk_is_converted(tmp_path):
    cmyk = np.concatenate([FACE, FACE[..., :1] // 3], axis=-1)
    path = tmp_path / "cmyk.tif"
    Image.frombytes("CMYK", (64, 64), cmyk.tobytes()).save(path)
    ink = cmyk / 255
    expected = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(load_unscaled(path) - expected).max() <= 1.01


@pytest.mark.single_backend
def test_inverted_cmyk_of_adobes_jpegs_is_converted(tmp_path):
    path = save(tmp_path / "cmyk.jpg", FACE, mode="CMYK", quality=98)
    assert b"Adobe" in path.read_bytes()
    assert np.abs(load_unscaled(path).astype(int) - FACE).mean() < 6


@pytest.mark.single_backend
def test_sixteen_bits_keep_the_high_byte(tmp_path):
    samples = ((FACE.astype("uint16") << 8) | FACE[..., ::-1]).astype(">u2")
    grey = samples[..., :1]
    grey_alpha = np.concatenate([grey, 65535 - grey], axis=-1).astype(">u2")
    three_greys = np.repeat(FACE[..., :1], 3, axis=-1)
    path = tmp_path / "sixteen.png"
    for colour_type, written, expected in (
        (0, grey, three_greys),
        (2, samples, FACE),
        (4, grey_alpha, three_greys),
    ):
        path.write_bytes(png_bytes(64, 64, 16, colour_type, png_rows(written)))
        np.testing.assert_array_equal(load_unscaled(path), expected)
    (tmp_path / "grey.pgm").write_bytes(b"P5 64 64 65535\n" + grey.tobytes())
    np.testing.assert_array_equal(load_unscaled(tmp_path / "grey.pgm"), three_greys)
    save(tmp_path / "grey.tif", grey[..., 0].astype("<u2"))
    np.testing.assert_array_equal(load_unscaled(tmp_path / "grey.tif"), three_greys)


@pytest.mark.single_backend
def test_an_animations_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load_image(tmp_path / "a.gif", 8, 1.0)[4, 4].tolist() == [255, 0, 0]


# --- load_image: bad input --------------------------------------------------------------------


def refused(path, **arguments):
    """Returns the message of the one ValueError, having checked its form; no warning escapes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"expected .*Received: ") as info:
            load_image(path, **arguments)
    assert not caught
    assert str(path) in str(info.value)
    return str(info.value)


@pytest.mark.single_backend
def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "missing.jpg"
    with pytest.raises(FileNotFoundError, match=r"expected .* existing file.*Received: ") as info:
        load_image(path)
    assert str(path) in str(info.value)


@pytest.mark.single_backend
def test_what_is_not_a_file_is_refused(tmp_path):
    assert "Received: a directory" in refused(tmp_path)
    assert "Received: neither a file nor a directory" in refused(Path(os.devnull))


@pytest.mark.single_backend
def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    assert "Received: an empty file (0 bytes)" in refused(path)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html><body>404: Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'/>",
        b"\x80\x04\x95pickle",
        b"\0",
        bytes(1000),
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.4\n",
    ],
    ids=lambda content: repr(content[:9]),
)
def test_what_is_not_an_image_is_refused(content, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    message = refused(path)
    assert "JPEG" in message
    assert f"{len(content)} bytes that begin with {content[:16]!r}" in message


@pytest.mark.single_backend
def test_a_postscript_program_is_not_run(tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: runs.append(args))
    path = tmp_path / "program.eps"
    save(path, FACE)
    assert "an image (" in refused(path)
    assert not runs


@pytest.mark.single_backend
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3)])
def test_a_side_of_one_pixel_is_refused(shape, tmp_path):
    path = save(tmp_path / "pixel.png", np.zeros(shape, "uint8"))
    message = refused(path)
    assert message.endswith(f"Received: width {shape[1]}, height {shape[0]}")


@pytest.mark.single_backend
def test_two_pixels_are_enough(tmp_path):
    path = save(tmp_path / "four.png", FACE[:2, :2])
    assert load_image(path).shape == (256, 256, 3)


# Every way to store an image whose decoder can stop half-way.
ENCODINGS = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True}),
    "jpeg2000": ("JPEG2000", {}),
    "avif": ("AVIF", {}),
}


@pytest.mark.single_backend
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_truncated_image_is_refused_wherever_it_ends(encoding, tmp_path):
    file_format, options = ENCODINGS[encoding]
    buffer = io.BytesIO()
    Image.fromarray(FACE[:40, :40]).save(buffer, file_format, **options)
    content = buffer.getvalue()
    path = tmp_path / "truncated"
    path.write_bytes(content)
    whole = load_unscaled(path)

    ends = {*range(1, len(content), len(content) // 60), *range(len(content) - 30, len(content))}
    refusals = 0
    for end in sorted(ends):
        path.write_bytes(content[:end])
        try:
            loaded = load_image(path, 40, 1.0)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "Received: " in str(error)  # noqa: PT017
            refusals += 1
        else:
            # Only trailing bytes that hold no pixels are missing.
            assert end > len(content) - 30
            np.testing.assert_array_equal(loaded, whole)
    assert refusals >= 60


@pytest.mark.single_backend
def test_the_refusal_of_half_a_photograph_says_so(tmp_path):
    path = save(tmp_path / "photo.jpg", skimage.data.coffee())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = refused(path)
    assert "a complete, undamaged image" in message
    assert "truncated" in message


@pytest.mark.single_backend
def test_damaged_bytes_are_refused(tmp_path):
    path = save(tmp_path / "photo.png", FACE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "a complete, undamaged image" in refused(path)


@pytest.mark.single_backend
@pytest.mark.parametrize("side", [10_000, 30_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused(side, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_bytes(side, side, 1, 0))  # 10,000: Pillow only warns
    message = refused(path)
    assert f"at most {Image.MAX_IMAGE_PIXELS} pixels" in message
    assert str(side**2) in message.partition("Received")[2]


@pytest.mark.single_backend
def test_the_limit_on_pixels_is_pillows(tmp_path, monkeypatch):
    path = save(tmp_path / "face.png", FACE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    assert "at most 4095 pixels" in refused(path, size=8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64)
    assert load_image(path, 8).shape == (8, 8, 3)


@pytest.mark.single_backend
def test_a_narrow_image_does_not_blow_up(tmp_path, monkeypatch):
    path = save(tmp_path / "narrow.png", np.zeros((2, 20_000, 3), "uint8"))
    message = refused(path)  # 284 x 2,840,000 pixels are 3.2 GB
    assert "after resizing" in message
    assert "Received: 20000x2 pixels, resized to 2840000x284" in message
    assert load_image(path, 8, 1.0).shape == (8, 8, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_image(path, 16, 1.0).shape == (16, 16, 3)


@pytest.mark.single_backend
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_pixels_without_a_range_are_refused(dtype, tmp_path):
    path = save(tmp_path / "measured.tif", FACE[..., 0].astype(dtype))
    assert "8 or 16 bits a channel" in refused(path)


@pytest.mark.single_backend
@pytest.mark.parametrize("size", [0, -1, 2.5, "256", (256,), (256, 0), (256, 256, 3), None])
def test_a_bad_size_is_refused(size, tmp_path):
    path = save(tmp_path / "face.png", FACE)
    with pytest.raises(
        ValueError, match=r"size to be a positive integer or a pair .*Received: size="
    ):
        load_image(path, size)


@pytest.mark.single_backend
@pytest.mark.parametrize("crop_pct", [0, -0.5, 1.01, float("nan")])
def test_a_bad_crop_pct_is_refused(crop_pct, tmp_path):
    path = save(tmp_path / "face.png", FACE)
    with pytest.raises(ValueError, match=r"expects 0 < crop_pct <= 1\. Received: crop_pct="):
        load_image(path, crop_pct=crop_pct)


@pytest.mark.single_backend
def test_an_unknown_interpolation_is_refused(tmp_path):
    path = save(tmp_path / "face.png", FACE)
    with pytest.raises(ValueError, match=r"\['bicubic', 'bilinear'\]. Received: .*'nearest'"):
        load_image(path, interpolation="nearest")


@pytest.mark.single_backend
def test_threads_load_and_leave_the_warning_filters_alone(tmp_path, monkeypatch):
    path = save(tmp_path / "photo.png", FACE)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_bytes(10_000, 10_000, 1, 0))
    expected = load_image(path, 32)
    before = list(warnings.filters)
    pillow_open, inside, together, failures = Image.open, set(), [], []

    def slow_open(*args, **kwargs):
        """Gives another thread the time to come in while the filters are changed."""
        inside.add(threading.get_ident())
        time.sleep(0.001)
        together.append(len(inside))
        try:
            return pillow_open(*args, **kwargs)
        finally:
            inside.remove(threading.get_ident())

    def work():
        for _ in range(10):
            if not np.array_equal(load_image(path, 32), expected):
                failures.append("other pixels")
            try:
                load_image(bomb)
            except ValueError:
                continue
            failures.append("a bomb went through")

    monkeypatch.setattr(Image, "open", slow_open)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert max(together) == 1
    assert list(warnings.filters) == before


# --- preprocess_input -------------------------------------------------------------------------


def batch(data_format="channels_last"):
    photos = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
    images = np.stack([photo[50:90, 200:231] for photo in photos])
    return images if data_format == "channels_last" else images.transpose(0, 3, 1, 2)


def normalised(images):
    """The definition, in float64, for channels last."""
    return (images.astype("float64") / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


@pytest.mark.single_backend
def test_constants_are_imagenets():
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "float64"])
def test_numpy_in_numpy_out(dtype):
    x = batch().astype(dtype)
    before = x.copy()
    y = preprocess_input(x)
    assert type(y) is np.ndarray
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, normalised(batch()), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(x, before)
    assert x.dtype == dtype


def test_a_read_only_array_is_fine():
    x = batch().astype("float32")
    x.flags.writeable = False
    assert preprocess_input(x).flags.writeable


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("leading", [(), (3,), (1, 3)])
def test_tensors_with_any_leading_dimensions(dtype, data_format, leading):
    x, expected = batch(data_format), normalised(batch())
    if data_format == "channels_first":
        expected = expected.transpose(0, 3, 1, 2)
    if not leading:
        x, expected = x[0], expected[0]
    else:
        x, expected = x.reshape(leading + x.shape[1:]), expected.reshape(leading + x.shape[1:])
    for value in (x.astype(dtype), ops.convert_to_tensor(x, dtype=dtype)):
        y = preprocess_input(value, data_format=data_format)
        assert keras.backend.standardize_dtype(y.dtype) == "float32"
        np.testing.assert_allclose(ops.convert_to_numpy(y), expected, rtol=1e-5, atol=1e-6)
        assert type(y) is type(value)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_equals_keras_applications(data_format):
    reference = keras.applications.imagenet_utils.preprocess_input
    x = batch(data_format).astype("float32")
    expected = reference(x.copy(), data_format=data_format, mode="torch")
    np.testing.assert_allclose(preprocess_input(x, data_format), expected, rtol=1e-6, atol=1e-6)
    expected = reference(ops.convert_to_tensor(x), data_format=data_format, mode="torch")
    y = preprocess_input(ops.convert_to_tensor(x), data_format)
    np.testing.assert_allclose(
        ops.convert_to_numpy(y), ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6
    )


def test_the_default_data_format_is_keras_setting():
    x = batch("channels_first")
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        y = preprocess_input(x)
    finally:
        keras.config.set_image_data_format(before)
    np.testing.assert_array_equal(y, preprocess_input(x, "channels_first"))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_stands_in_a_functional_model_that_saves(policy, data_format, tmp_path):
    x = batch(data_format)
    shape = (None, None, 3) if data_format == "channels_last" else (3, None, None)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input(shape, dtype="uint8")
        model = keras.Model(inputs, preprocess_input(inputs, data_format))
        model.save(tmp_path / "model.keras")
        reloaded = keras.models.load_model(tmp_path / "model.keras")
        outputs = [np.asarray(m.predict(x, verbose=0)) for m in (model, reloaded)]
    finally:
        keras.config.set_dtype_policy(before)
    for output in outputs:
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, preprocess_input(x, data_format), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_stands_in_a_tf_data_map_with_every_backend(dtype):
    import tensorflow as tf

    x = batch().astype(dtype)
    dataset = tf.data.Dataset.from_tensor_slices(x).map(preprocess_input).batch(len(x))
    (y,) = dataset.as_numpy_iterator()
    np.testing.assert_allclose(y, normalised(x), rtol=1e-5, atol=1e-6)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("shape", "data_format", "layout"),
    [
        ((2, 8, 8, 1), "channels_last", "height, width, 3"),
        ((2, 8, 8, 4), "channels_last", "height, width, 3"),
        ((2, 3, 8, 8), "channels_last", "height, width, 3"),
        ((2, 8, 8, 3), "channels_first", "3, height, width"),
        ((8, 3), "channels_last", "height, width, 3"),
        ((), "channels_last", "height, width, 3"),
    ],
)
def test_other_shapes_than_rgb_images_are_refused(shape, data_format, layout):
    for x in (np.zeros(shape), ops.zeros(shape)):
        with pytest.raises(ValueError, match=rf"{layout}.*Received: x.shape=\(") as info:
            preprocess_input(x, data_format)
        assert str(info.value).endswith(f"x.shape={shape}")


@pytest.mark.single_backend
def test_what_is_not_an_array_is_refused():
    with pytest.raises(ValueError, match="Received: x of type list"):
        preprocess_input([[[0, 0, 0]]])


@pytest.mark.parametrize(
    ("normalization", "mean", "std"),
    [
        ("clip", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ("unit", (0, 0, 0), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_normalizations_of_image_towers(normalization, mean, std, data_format):
    """The constants of timm 1.0.31."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = (pixels / 255 - np.array(mean)) / np.array(std)
    if data_format == "channels_first":
        pixels, expected = np.moveaxis(pixels, -1, 1), np.moveaxis(expected, -1, 1)
    received = preprocess_input(pixels, data_format, normalization)
    np.testing.assert_allclose(received, expected, atol=1e-6)
    tensor = preprocess_input(keras.ops.convert_to_tensor(pixels), data_format, normalization)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), expected, atol=1e-6)


@pytest.mark.single_backend
def test_an_unknown_normalization_is_refused():
    expected = r"imagenet, clip, unit, pixels\. Received: normalization='none'"
    with pytest.raises(ValueError, match=expected):
        preprocess_input(np.zeros((4, 4, 3)), "channels_last", "none")


@pytest.mark.single_backend
def test_an_unknown_data_format_is_refused():
    with pytest.raises(ValueError, match="Received: data_format='NHWC'"):
        preprocess_input(batch(), "NHWC")


# --- class names and decode_predictions -------------------------------------------------------


def class_index():
    """The 1,000 (WordNet id, name) pairs, as decode_predictions gives them."""
    (row,) = decode_predictions(-np.arange(1000.0)[None], top=1000)
    return [[wordnet_id, name] for wordnet_id, name, _ in row]


@pytest.mark.single_backend
def test_imagenet_names_are_keras_applications_letter_for_letter():
    table = json.dumps({str(label): pair for label, pair in enumerate(class_index())})
    digest = hashlib.md5(table.encode("utf-8"), usedforsecurity=False).hexdigest()
    assert digest == KERAS_CLASS_INDEX_MD5


@pytest.mark.single_backend
def test_class_names():
    imagenet = class_names("imagenet")
    assert imagenet == tuple(name for _, name in class_index())
    assert (imagenet[0], imagenet[2], imagenet[386]) == (
        "tench",
        "great_white_shark",
        "African_elephant",
    )
    fashion = class_names("fashion_mnist")
    assert fashion == (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    with pytest.raises(ValueError, match="Received: dataset='cifar10'"):
        class_names("cifar10")


@pytest.mark.parametrize("top", [1, 5, 1000])
def test_decoding_equals_keras_applications(top, monkeypatch):
    reference = keras.applications.imagenet_utils.decode_predictions
    index = {str(label): pair for label, pair in enumerate(class_index())}
    monkeypatch.setitem(reference.__globals__, "CLASS_INDEX", index)  # else it downloads
    preds = np.random.default_rng(0).permutation(4000).reshape(4, 1000).astype("float32") / 4000
    expected = reference(preds, top=top)
    for value in (preds, ops.convert_to_tensor(preds)):
        decoded = decode_predictions(value, top=top)
        assert decoded == expected
        assert type(decoded[0][0]) is tuple
        assert type(decoded[0][0][2]) is np.float32
    if top == 5:
        assert decode_predictions(preds) == expected


def test_scores_of_any_kind_are_ranked():
    names = ["cat", "dog", "fox", "owl"]
    scores = np.array([[3, 250, 0, 7]])
    for dtype in ("uint8", "int8", "float16", "float64"):
        ((best, *_, worst),) = decode_predictions(scores.astype("uint8").astype(dtype), 4, names)
        expected = ("owl", "dog") if dtype == "int8" else ("dog", "fox")  # 250 is -6 in int8
        assert (best[1], worst[1]) == expected
    (row,) = decode_predictions(np.array([[-np.inf, 0.0, np.inf, -1.0]]), 4, names)
    assert [name for _, name, _ in row] == ["fox", "dog", "owl", "cat"]


@pytest.mark.single_backend
def test_equal_scores_keep_the_order_of_their_labels():
    (row,) = decode_predictions(np.array([[0.2, 0.3, 0.2, 0.3, 0.2]]), 5, list("abcde"))
    assert [(label, name) for label, name, _ in row] == [
        (1, "b"),
        (3, "d"),
        (0, "a"),
        (2, "c"),
        (4, "e"),
    ]


@pytest.mark.single_backend
def test_other_data_sets_have_labels_in_place_of_wordnet_ids():
    preds = np.eye(10, dtype="float32")[[9, 0]]
    first, second = decode_predictions(preds, top=1, class_names=class_names("fashion_mnist"))
    assert first == [(9, "Ankle boot", np.float32(1))]
    assert second == [(0, "T-shirt/top", np.float32(1))]


@pytest.mark.single_backend
def test_more_than_all_classes_are_all_classes():
    (row,) = decode_predictions(np.array([[0.25, 0.75]]), top=5, class_names=("cat", "dog"))
    assert [name for _, name, _ in row] == ["dog", "cat"]
    (row,) = decode_predictions(np.zeros((1, 1000)), top=2000)
    assert len(row) == 1000


@pytest.mark.single_backend
def test_an_empty_batch_decodes_to_an_empty_list():
    assert decode_predictions(np.zeros((0, 1000))) == []


@pytest.mark.single_backend
@pytest.mark.parametrize("shape", [(1000,), (2, 999), (2, 10), (1, 1, 1000)])
def test_predictions_of_another_shape_are_refused(shape):
    for preds in (np.zeros(shape), ops.zeros(shape)):
        with pytest.raises(ValueError, match=r"shape \(batch, 1000\). Received: shape \(") as info:
            decode_predictions(preds)
        assert str(info.value).endswith(str(shape))
    with pytest.raises(ValueError, match="Received: a list"):
        decode_predictions([[0.5, 0.5]])


@pytest.mark.single_backend
def test_class_names_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"\(batch, 2\). Received: shape \(1, 3\)"):
        decode_predictions(np.zeros((1, 3)), class_names=["cat", "dog"])


@pytest.mark.single_backend
def test_a_data_sets_name_is_no_list_of_names():
    with pytest.raises(ValueError, match="Received: class_names='fashion_mnist'"):
        decode_predictions(np.zeros((1, 10)), class_names="fashion_mnist")


@pytest.mark.single_backend
@pytest.mark.parametrize("top", [0, -1])
def test_top_below_one_is_refused(top):
    with pytest.raises(ValueError, match=f"Received: top={top}"):
        decode_predictions(np.zeros((1, 1000)), top=top)


@pytest.mark.single_backend
def test_nan_scores_are_refused():
    preds = np.zeros((3, 1000), dtype="float32")
    preds[1, 7] = np.nan
    with pytest.raises(ValueError, match=r"Received: NaN scores in rows \[1\]"):
        decode_predictions(preds)

"""ImageNet-C's corruptions: as published at 224 pixels, as strong at any size, repeatable."""

import itertools
from io import BytesIO

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.util
from PIL import Image
from scipy.ndimage import gaussian_filter

from keras_fastvit.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from keras_fastvit.evaluation.corruptions.blur import _taken_from_neighbours, disk, smeared
from keras_fastvit.evaluation.corruptions.canvas import canvas_shape, magnified
from keras_fastvit.evaluation.corruptions.fractals import crystals, plasma

pytestmark = pytest.mark.single_backend

PHOTOGRAPHS = {
    "astronaut": skimage.data.astronaut,
    "chelsea": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
}
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
DETERMINISTIC = (
    *("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate"),
    *("jpeg_compression", "gaussian_blur", "saturate"),
)


def photograph(name: str = "astronaut", height: int = 224, width: int = 224) -> np.ndarray:
    """A colour photograph, its middle cut and resized."""
    image = Image.fromarray(PHOTOGRAPHS[name]())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(a.astype("float64") - b).mean())


def test_there_are_fifteen_and_four():
    assert len(CORRUPTIONS) == 19
    assert tuple(CORRUPTIONS)[-4:] == EXTRA
    assert [name for name, row in CORRUPTIONS.items() if row.group == "extra"] == list(EXTRA)
    assert all(len(row.parameters) == 5 for row in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
class TestEach:
    @pytest.mark.parametrize("shape", [(37, 53), (64, 64), (224, 224)])
    def test_is_repeatable_and_keeps_form_and_input(self, name, shape):
        image = photograph("chelsea", *shape)
        before = image.copy()
        for severity in SEVERITIES:
            found = corrupt(image, name, severity, seed=3)
            assert found.dtype == np.uint8
            assert found.shape == (*shape, 3)
            assert np.array_equal(found, corrupt(image, name, severity, seed=3))
            other = corrupt(image, name, severity, seed=4)
            assert np.array_equal(found, other) == (name in DETERMINISTIC)
            # At 37 pixels the weakest blurs stay within one.
            if shape[0] > 37 or not (name.endswith("blur") and severity <= 2):
                assert distance(found, image) > 0 or (name, severity) == ("gaussian_blur", 1)
        assert np.array_equal(image, before)

    @pytest.mark.parametrize("shape", [(2, 2), (1, 5), (9, 3)])
    def test_the_smallest_images(self, name, shape):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        for severity in SEVERITIES:
            assert corrupt(image, name, severity).shape == image.shape

    @pytest.mark.parametrize("color", [0, 255])
    def test_black_and_white(self, name, color):
        image = np.full((32, 48, 3), color, "uint8")
        for severity in SEVERITIES:
            found = corrupt(image, name, severity)
            if color == 0 and name in ("shot_noise", "speckle_noise", "contrast", "saturate"):
                assert not found.any()
            if "blur" in name or name in ("pixelate", "elastic_transform", "jpeg_compression"):
                assert np.abs(found.astype("int64") - color).max() <= 2

    def test_is_stronger_with_severity(self, name):
        images = [photograph(key, 112, 112) for key in PHOTOGRAPHS]
        distances = [
            np.mean(
                [
                    distance(corrupt(image, name, severity, seed), image)
                    for image in images
                    for seed in range(1 if name in DETERMINISTIC else 3)
                ]
            )
            for severity in SEVERITIES
        ]
        # As published: 1 and 2 of these are another kind than the others (colours fade before
        # they glow; a large warp before small ones), and pixels are shuffled in one round at 2,
        # in two at 4. Of frost weight is taken from the image as it is given to the ice.
        runs = {
            "elastic_transform": [(0, 1), (2, 3, 4)],
            "saturate": [(0, 1), (2, 3, 4)],
            "glass_blur": [(0, 2, 4), (1, 3)],
            "frost": [(0, 2)],
        }.get(name, [(0, 1, 2, 3, 4)])
        for run in runs:
            values = [distances[i] for i in run]
            assert all(b > 0.97 * a for a, b in itertools.pairwise(values)), distances
            assert values[-1] > 1.02 * values[0]

    def test_channels_keep_their_places(self, name):
        """What is red stays redder than blue, also where green is as strong as either."""
        image = np.full((64, 64, 3), (190, 110, 40), "uint8")
        red, green, blue = corrupt(image, name, 1, seed=1).mean(axis=(0, 1))
        assert red > green + 5
        assert green > blue + 5

    def test_is_as_strong_at_any_size(self, name):
        """The same photograph at 224 and 448 pixels, compared at 112."""
        large, small = photograph("coffee", 448, 448), photograph("coffee", 224, 224)
        by_pixels = {"gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"}
        by_pixels |= {"pixelate", "jpeg_compression"}

        def strength(image: np.ndarray) -> float:
            found = [corrupt(image, name, 4, seed) for seed in range(4)]
            if name in by_pixels:
                return float(np.mean([distance(x, image) for x in found]))
            reduced = [np.asarray(Image.fromarray(x).resize((112, 112), Image.BOX)) for x in found]
            own = np.asarray(Image.fromarray(image).resize((112, 112), Image.BOX))
            return float(np.mean([distance(x, own) for x in reduced]))

        if name in ("jpeg_compression", "pixelate"):
            assert strength(large) < strength(small)  # finer detail is lost
        else:
            assert strength(large) == pytest.approx(strength(small), rel=0.15)


class TestAgainstDefinitions:
    """Beside scikit-image's and Pillow's own, at 224 pixels."""

    def test_colours_of_hsv(self):
        image = photograph()
        for name, change in (
            ("brightness", lambda hsv, added: hsv + np.array([0, 0, added])),
            ("saturate", lambda hsv, factor, added: hsv * [1, factor, 1] + [0, added, 0]),
        ):
            for severity, parameters in zip(SEVERITIES, CORRUPTIONS[name].parameters, strict=True):
                hsv = np.clip(change(skimage.color.rgb2hsv(image), *parameters), 0, 1)
                expected = 255 * skimage.color.hsv2rgb(hsv)
                assert np.abs(corrupt(image, name, severity) - expected).max() < 0.51

    def test_gaussian_blur(self):
        image = photograph()
        expected = gaussian_filter(image.astype("float64"), (6, 6, 0), mode="nearest")
        assert np.abs(corrupt(image, "gaussian_blur", 5) - expected).max() < 0.51

    def test_jpeg(self):
        image, file = photograph(), BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=7)
        assert np.array_equal(corrupt(image, "jpeg_compression", 5), Image.open(file))

    def test_pixelate(self):
        found = corrupt(photograph(), "pixelate", 5)
        assert found.shape == (224, 224, 3)
        blocks = found.reshape(56, 4, 56, 4, 3)
        assert (blocks == blocks[:, :1, :, :1]).all()
        means = photograph().reshape(56, 4, 56, 4, 3).mean(axis=(1, 3))
        assert np.abs(blocks[:, 0, :, 0] - means).max() < 1.1

    def test_noise_has_the_deviation(self):
        grey = np.full((224, 224, 3), 128, "uint8")
        for severity, (deviation,) in enumerate(CORRUPTIONS["gaussian_noise"].parameters[:3], 1):
            found = corrupt(grey, "gaussian_noise", severity) / 255
            assert found.std() == pytest.approx(deviation, rel=0.03)
            assert np.corrcoef(found[..., 0].ravel(), found[..., 1].ravel())[0, 1] < 0.02
        found = corrupt(grey, "shot_noise", 2) / 255  # Poisson's deviation is the mean's root
        assert found.std() == pytest.approx((128 / 255 / 25) ** 0.5, rel=0.03)

    def test_impulse_noise_is_salt_and_pepper(self):
        grey = np.full((224, 224, 3), 128, "uint8")
        found = corrupt(grey, "impulse_noise", 5)
        assert set(np.unique(found)) == {0, 128, 255}
        assert np.mean(found == 0) == pytest.approx(0.135, abs=0.005)
        assert np.mean(found == 255) == pytest.approx(0.135, abs=0.005)

    def test_contrast_is_about_each_channels_mean(self):
        image = photograph()
        found = corrupt(image, "contrast", 5).astype("float64")
        np.testing.assert_allclose(found.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=0.1)
        assert found.std(axis=(0, 1)) == pytest.approx(0.05 * image.std(axis=(0, 1)), rel=0.05)


class TestParts:
    @pytest.mark.parametrize("radius", [0.4, 1.0, 3.0, 10.0])
    def test_a_disk_has_its_area_and_radius(self, radius):
        kernel = disk(radius, 0.02)
        assert kernel.sum() == pytest.approx(1)
        assert np.allclose(kernel, kernel.T)
        assert np.allclose(kernel, kernel[::-1])
        if radius >= 1:
            assert 1 / kernel.max() == pytest.approx(np.pi * radius**2, rel=0.05)
            y, x = np.indices(kernel.shape) - len(kernel) // 2
            # The mean of r² over a disk is R²/2; whole pixels add theirs, 1/6.
            assert (kernel * (x**2 + y**2)).sum() == pytest.approx(
                radius**2 / 2 + 1 / 6, rel=0.05, abs=0.12
            )

    def test_a_smear_is_one_sided_and_fades(self):
        dot = np.zeros((41, 41))
        dot[20, 20] = 1
        left = smeared(dot, 5, 3.0, 0.0)
        weights = np.exp(-((np.arange(11) / 3) ** 2) / 2)
        np.testing.assert_allclose(left[20, 20:9:-1], weights / weights.sum(), atol=1e-9)
        assert np.abs(left[20, 21:]).max() < 1e-9
        up = smeared(dot, 5, 3.0, 90.0)
        np.testing.assert_allclose(up[20:9:-1, 20], weights / weights.sum(), atol=1e-9)
        assert smeared(dot, 5, 3.0, 37.0).sum() == pytest.approx(1)

    def test_glass_takes_colours_one_after_the_other(self):
        """Beside the loop over pixels that it stands for."""
        image = np.random.default_rng(0).random((23, 31, 3))
        for reach in (1, 2, 4):
            found = _taken_from_neighbours(image, np.random.default_rng(reach), reach)
            rows = range(reach + 1, 23 - reach + 1)
            columns = range(reach + 1, 31 - reach + 1)
            moves = np.random.default_rng(reach).integers(
                -reach, reach, (2, len(rows), len(columns))
            )
            expected = image.copy()
            for row in reversed(rows):
                for column in reversed(columns):
                    down, right = moves[:, row - rows[0], column - columns[0]]
                    expected[row, column] = expected[row + down, column + right]
            assert np.array_equal(found, expected)
            assert not np.array_equal(found, image)

    def test_magnified_about_the_centre(self):
        y, x = np.indices((33, 21)) - np.array([16, 10])[:, None, None]
        np.testing.assert_allclose(magnified(x + 2.0 * y, 1.25), (x + 2.0 * y) / 1.25, atol=1e-9)

    def test_plasma_is_rougher_with_less_decay(self):
        rough, smooth = (
            np.mean(
                [np.abs(np.diff(plasma(128, d, np.random.default_rng(i)))).mean() for i in range(5)]
            )
            for d in (1.4, 2.0)
        )
        assert rough > 2 * smooth
        found = plasma(64, 1.7, np.random.default_rng(0))
        assert (found.shape, found.min(), found.max()) == ((64, 64), 0, 1)

    def test_crystals_differ_and_are_in_range(self):
        one, other = (crystals((224, 300), np.random.default_rng(i)) for i in range(2))
        assert one.shape == (224, 300)
        assert (one.min(), one.max()) == (0, 1)
        assert 0.3 < one.mean() < 0.7
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.2

    def test_the_canvas_has_the_images_form(self):
        assert canvas_shape(np.zeros((64, 128, 3))) == (224, 448)
        assert canvas_shape(np.zeros((448, 224, 3))) == (448, 224)


class TestRefuses:
    @pytest.mark.parametrize(
        ("image", "name", "severity", "message"),
        [
            (np.zeros((8, 8, 3), "uint8"), "rain", 1, "Expected one of gaussian_noise.*'rain'"),
            (np.zeros((8, 8, 3), "uint8"), "fog", 0, "severity from 1 to 5.*severity=0"),
            (np.zeros((8, 8, 3), "uint8"), "fog", 6, "severity from 1 to 5.*severity=6"),
            (np.zeros((8, 8, 3), "float32"), "fog", 1, "uint8.*Received: float32"),
            (np.zeros((8, 8), "uint8"), "fog", 1, r"Received: uint8 of shape \(8, 8\)"),
            (np.zeros((0, 8, 3), "uint8"), "fog", 1, r"of shape \(0, 8, 3\)"),
        ],
    )
    def test_what_it_cannot_corrupt(self, image, name, severity, message):
        with pytest.raises(ValueError, match=message):
            corrupt(image, name, severity)

"""Accuracy under corruptions: counting, the paper's means, tables and pictures."""

import csv
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from keras_fastvit.evaluation import robustness_report
from keras_fastvit.evaluation.corruptions import CORRUPTIONS, corrupt
from keras_fastvit.evaluation.robustness import (
    COMMON,
    RUNS,
    Robustness,
    mean_corruption_error,
    measure,
)

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    photograph = Image.fromarray(skimage.data.coffee()).resize((48, 32))
    return np.stack([np.asarray(photograph), np.asarray(photograph)[:, ::-1]])


def of(value, clean: float = 1.0) -> Robustness:
    return Robustness(10, clean, np.broadcast_to(np.asarray(value, "float64"), (19, 5)))


class TestMeasure:
    def test_every_model_sees_the_same_pixels(self, pixels):
        seen: dict[str, list[np.ndarray]] = {"one": [], "other": []}

        def model(name):
            def scores(images):
                seen[name].append(images)
                return np.eye(2)[[0, 0]]  # class 0, for every image

            return scores

        advanced = []
        labels = np.array([0, 1])
        models = {name: model(name) for name in seen}
        found = measure(models, pixels, labels, lambda: advanced.append(1))
        assert list(found) == ["one", "other"]
        assert len(advanced) == len(seen["one"]) == RUNS == 96
        assert all(map(np.array_equal, seen["one"], seen["other"]))
        assert np.array_equal(seen["one"][0], pixels)
        # The order of the table; an image's place is its seed.
        names = list(CORRUPTIONS)
        for row, column in ((0, 0), (7, 4), (18, 2)):
            images = seen["one"][1 + 5 * row + column]
            for i in range(2):
                assert np.array_equal(images[i], corrupt(pixels[i], names[row], column + 1, i))
        assert found["one"].images == 2
        assert found["one"].clean == 0.5
        assert (found["one"].accuracy == 0.5).all()

    def test_accuracy_is_where_it_belongs(self, pixels):
        """A model that fails as soon as an image is much brighter than it was."""
        clean = pixels.mean()

        def scores(images):
            return np.eye(2)[(images.mean(axis=(1, 2, 3)) > clean + 25).astype(int)]

        found = measure({"": scores}, pixels, np.array([0, 0]))[""]
        by_name = dict(zip(CORRUPTIONS, found.accuracy, strict=True))
        assert by_name["brightness"].tolist() == [1, 0, 0, 0, 0]
        assert by_name["pixelate"].tolist() == [1, 1, 1, 1, 1]
        assert by_name["snow"].tolist() == [0, 0, 0, 0, 0]
        assert found.clean == 1


class TestMeans:
    def test_the_extra_four_do_not_count_among_the_common(self):
        accuracy = np.ones((19, 5))
        accuracy[15:] = 0
        found = of(accuracy)
        assert found.mean(*COMMON) == 1
        assert found.mean("extra") == 0
        assert found.mean() == pytest.approx(15 / 19)

    def test_mean_corruption_error(self):
        """Ratios of summed errors, by corruption: not the ratio of all errors."""
        ours, baseline = np.full((19, 5), 0.9), np.full((19, 5), 0.8)
        ours[0], baseline[0] = [0.5, 0.5, 0.5, 0.5, 0.0], [0.9, 0.9, 0.7, 0.5, 0.5]
        expected = (14 * 0.5 + 3.0 / 1.5) / 15
        assert mean_corruption_error(of(ours), of(baseline)) == pytest.approx(expected)
        assert mean_corruption_error(of(ours), of(ours)) == pytest.approx(1)
        ours[15:] = 0  # the extra ones
        assert mean_corruption_error(of(ours), of(baseline)) == pytest.approx(expected)

    def test_without_errors(self):
        assert np.isnan(mean_corruption_error(of(1.0), of(1.0)))
        assert mean_corruption_error(of(0.5), of(1.0)) == np.inf


@pytest.fixture(scope="module")
def found() -> Robustness:
    return of(np.arange(95).reshape(19, 5) / 100, clean=0.97)


class TestReport:
    def test_table(self, found):
        header, _, *rows = robustness_report.to_markdown(found)
        assert header == "| corruption | 1 | 2 | 3 | 4 | 5 | mean |"
        assert rows[1] == "| shot noise | 5.0% | 6.0% | 7.0% | 8.0% | 9.0% | 7.0% |"
        assert len(rows) == 21
        assert rows[19].startswith("| **common mean** | **35.0%** |")
        assert rows[20].endswith("| **47.0%** |")

    def test_csv(self, found):
        rows = list(csv.DictReader(robustness_report.to_csv({"a": found, "b": found}).splitlines()))
        assert [row["model"] for row in rows] == ["a"] * 96 + ["b"] * 96
        assert list(rows[0].values()) == ["a", "none", "", "0", "0.970000"]
        assert rows[7]["corruption"] == "shot_noise"
        assert (rows[7]["severity"], float(rows[7]["top1"])) == ("2", 0.06)

    def test_json(self, found):
        content = json.loads(json.dumps(robustness_report.to_json(found)))
        assert content["accuracy"]["shot_noise"][1] == 0.06
        assert (content["clean"], content["mean"]) == (0.97, pytest.approx(0.47))

    def test_plot(self, found, tmp_path):
        for models in ({"one": found}, {"one": found, "other": of(0.5)}):
            robustness_report.plot(models, tmp_path / "plot.png")
            picture = Image.open(tmp_path / "plot.png").convert("RGB")
            assert picture.height > 800
            assert picture.width > 500 * len(models)
            assert len(picture.getcolors(10**6)) > 50
        assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]

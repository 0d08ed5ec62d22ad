"""The released weights on ImageNet: a hub on this machine, random weights, a few photographs."""

import dataclasses
import json

import huggingface_hub
import numpy as np
import pytest
import skimage.data
from huggingface_hub import constants
from PIL import Image
from safetensors.numpy import save

from keras_fastvit import FastViTT8, load_image, preprocess_input
from keras_fastvit.conversion.commands.released_accuracy import RELEASED, published_top1
from keras_fastvit.conversion.commands.released_report import (
    Released,
    read_rows,
    to_markdown,
    write_rows,
)
from keras_fastvit.images.preprocessing import decode_predictions
from tests.commands import command
from tests.hub_server import HubServer
from tests.models import run
from tests.reference.fixtures import load

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("evaluate_released")]

ROW = Released("fastvit_t8", "imagenet", 76.2, 76.11, 74.5, 50_000, 1000, {})


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Sixteen cuts of photographs in the folders of two synsets, and a file that is no image."""
    root = tmp_path_factory.mktemp("imagenet")
    synsets = decode_predictions(-np.arange(1000.0)[None], top=1000)[0]
    for i, (index, photograph) in enumerate(
        ((285, skimage.data.chelsea()), (967, skimage.data.coffee()))
    ):
        folder = root / str(synsets[index][0])
        folder.mkdir()
        rng = np.random.default_rng(i)
        for j in range(8):
            top, left = rng.integers(0, 60, 2)
            cut = photograph[top : top + 240, left : left + 240]
            Image.fromarray(cut).save(folder / f"{j}.png")
        (folder / "notes.txt").write_text("nothing")
    return root


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
    huggingface_hub.close_session()


def test_there_are_fourteen_with_the_papers_figures():
    assert len(RELEASED) == 14
    published = {(row.variant, row.name): published_top1(row) for row in RELEASED}
    assert published["fastvit_t8", "imagenet"] == 76.2
    assert published["fastvit_ma36", "imagenet_distilled"] == 84.6


def test_measures_what_it_can_and_goes_on_later(imagenet, hub, tmp_path, capsys):
    weights = load("timm", "fastvit_t8").weights()
    hub.add("timm/fastvit_t8.apple_in1k", "model.safetensors", save(weights))
    arguments = [
        "evaluate-released",
        imagenet,
        "--output",
        str(tmp_path / "RUN"),
        "--model",
        "fastvit_t8",
    ]
    assert command(*arguments) == 1  # the hub has no distilled weights
    printed = capsys.readouterr().out
    assert "fastvit_t8 imagenet_distilled was not measured" in printed
    assert "2 (notes.txt, notes.txt)" in printed

    (row,) = json.loads((tmp_path / "RUN" / "released.json").read_text())["rows"]
    paths = sorted(imagenet.glob("*/*.png"))
    pixels = np.stack([load_image(path, 256, 0.9) for path in paths])
    logits = run(FastViTT8(weights="imagenet"), preprocess_input(pixels, "channels_last"))
    expected = 100 * np.mean(logits.argmax(axis=1) == np.repeat([285, 967], 8))
    assert row["float32"] == pytest.approx(expected)
    assert 0 <= row["int8"] <= 100
    assert (row["published"], row["images"], row["classes"]) == (76.2, 16, 1000)
    assert len(row["skipped"]) == 2
    assert "| fastvit_t8 | imagenet | 76.2 |" in (tmp_path / "RUN" / "released.md").read_text()

    # What is measured stays: only the other weights are asked for.
    asked = len(hub.requests)
    assert command(*arguments) == 1
    assert all("dist" in request.path for request in hub.requests[asked:])
    assert "76.2" in capsys.readouterr().out


class TestRows:
    def test_survive_a_file(self, tmp_path):
        rows = [ROW, dataclasses.replace(ROW, weights="imagenet_distilled", skipped={"a": "b"})]
        write_rows(tmp_path, rows, "val", "train")
        assert read_rows(tmp_path / "released.json", "val", "train") == rows
        assert read_rows(tmp_path / "none.json", "val", "train") == []

    def test_of_other_images_or_damaged_are_refused(self, tmp_path):
        write_rows(tmp_path, [ROW], "val", "train")
        with pytest.raises(ValueError, match=r"other images.* Received: test and train"):
            read_rows(tmp_path / "released.json", "test", "train")
        for damaged in ("{", "[]", '{"data": "val", "calibration": "train", "rows": [{}]}'):
            (tmp_path / "released.json").write_text(damaged)
            with pytest.raises(ValueError, match="remove it to start anew"):
                read_rows(tmp_path / "released.json", "val", "train")

    def test_as_text(self):
        line = to_markdown([ROW], "val", "train").splitlines()[-1]
        assert line == ("| fastvit_t8 | imagenet | 76.2 | 76.11 | 74.50 | -0.09 | -1.61 | 50,000 |")


def test_a_folder_that_is_not_imagenets(tmp_path, capsys):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_bytes(b"")
    options = ["--output", tmp_path / "RUN", "--model", "fastvit_t8"]
    assert command("evaluate-released", tmp_path, *options) == 2
    assert "which of the 1000 classes" in capsys.readouterr().err

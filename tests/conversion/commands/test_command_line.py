"""The console script, and `predict`, by weights and by a `.tflite` file."""

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from keras_fastvit import FastViTT8, class_names, fuse, load_image, preprocess_input
from keras_fastvit.conversion.__main__ import COMMANDS
from keras_fastvit.conversion.commands import running
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite import sidecar
from tests.commands import command
from tests.models import tiny
from tests.tflite_files import to_tflite, write_sidecar

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("command_line")]

ROOT = Path(__file__).resolve().parents[3]
BOOT = next((ROOT / "demo_images/fashion_mnist").glob("9_*/*.png"))
TROUSER = next((ROOT / "demo_images/fashion_mnist").glob("1_*/*.png"))
T8 = ("--model", "fastvit_t8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "fashion_mnist.tflite"
    model = FastViTT8(weights="fashion_mnist", classes=10, data_format="channels_last")
    export(model, path, labels=class_names("fashion_mnist"), crop_pct=1.0)
    return path


@pytest.fixture
def tflite(exported, tmp_path):
    """A file with its sidecar, for a test to change."""
    for path in (exported, sidecar.beside(exported)):
        shutil.copy(path, tmp_path)
    return tmp_path / exported.name


def answers(printed: str) -> dict[str, list[tuple[float, str, str]]]:
    """By image: the scores, labels and names of its classes, in the order printed."""
    found: dict[str, list[tuple[float, str, str]]] = {}
    for line in printed.splitlines():
        match = re.fullmatch(r" +([\d.e-]+)  (\S+)  (.+)", line)
        if match is None:
            best = found[line] = []
        else:
            best.append((float(match[1]), match[2], match[3]))
    return found


class TestConsoleScript:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("keras-fastvit")
        assert script.exists(), "The tests run where the project is installed: see the Makefile."
        return subprocess.run([script, *arguments], capture_output=True, text=True)

    def test_lists_its_commands(self):
        finished = self.run("--help")
        assert finished.returncode == 0
        for name in ("port", "export", "predict", "inspect", "benchmark", "evaluate"):
            assert re.search(rf"^ +{name} +\S", finished.stdout, re.MULTILINE)

    def test_hands_all_arguments_to_the_command(self):
        finished = self.run("predict", "--help")
        assert finished.returncode == 0
        assert finished.stdout.startswith("usage: keras-fastvit predict")
        assert "--tflite" not in finished.stdout
        assert "a .tflite file" in finished.stdout

    @pytest.mark.parametrize(
        "arguments", [(), ("fly",), ("predict", str(BOOT)), ("predict", str(BOOT), *T8)]
    )
    def test_bad_input(self, arguments):
        finished = self.run(*arguments)
        assert finished.returncode == 2
        assert finished.stdout == ""
        assert "error: " in finished.stderr
        assert "Traceback" not in finished.stderr

    def test_commands_are_imported_when_they_run(self):
        code = """if True:
            import sys
            from keras_fastvit.conversion.__main__ import main
            try:
                main(["--help"])
            except SystemExit:
                print("heavy:", {"keras", "numpy", "tensorflow"} & set(sys.modules))
            """
        finished = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "heavy: set()" in finished.stdout

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_command_has_a_help(self, name, capsys):
        assert command(name, "--help") == 0
        assert capsys.readouterr().out.startswith(f"usage: keras-fastvit {name} ")

    def test_is_the_folders_main(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["scripts"] == {"keras-fastvit": "keras_fastvit.conversion.__main__:main"}


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert command("evaluate", tmp_path / "M.tflite", "--data", tmp_path) == 2
    assert '`pip install "keras-fastvit[convert]"` installs it.' in capsys.readouterr().err


class TestPredict:
    def best(self, capsys, *arguments: str) -> dict[str, list[tuple[float, str, str]]]:
        assert command("predict", *arguments) == 0
        return answers(capsys.readouterr().out)

    def test_weights_and_their_file_agree(self, tflite, capsys):
        images = [str(BOOT), str(TROUSER)]
        by_model = self.best(capsys, *images, *T8, "--weights", "fashion_mnist")
        by_file = self.best(capsys, *images, "--model", str(tflite))
        assert list(by_model) == list(by_file) == images
        assert by_model[images[0]][0][1:] == ("9", "Ankle boot")
        assert by_model[images[1]][0][1:] == ("1", "Trouser")
        for image in images:
            assert len(by_model[image]) == 5
            scores = [score for score, *_ in by_model[image]]
            assert scores == sorted(scores, reverse=True)
            assert sum(scores) <= 1.001  # rounded
            np.testing.assert_allclose(scores, [score for score, *_ in by_file[image]], atol=2e-4)

    def test_the_copy_in_the_file_is_used_without_a_sidecar(self, tflite, capsys):
        with_sidecar = self.best(capsys, str(BOOT), "--model", str(tflite))
        sidecar.beside(tflite).unlink()
        assert self.best(capsys, str(BOOT), "--model", str(tflite)) == with_sidecar

    def test_an_int8_file(self, tmp_path, capsys):
        model = FastViTT8(
            *(True, "fashion_mnist"),
            **{"classes": 10, "classifier_activation": None, "data_format": "channels_last"},
        )
        paths = sorted((ROOT / "demo_images/fashion_mnist").rglob("*.png"))[::10]
        images = preprocess_input(
            np.stack([load_image(p, 64, 1.0) for p in paths]), "channels_last"
        )
        path = tmp_path / "int8.tflite"
        path.write_bytes(to_tflite(fuse(model), images))
        write_sidecar(path, "fastvit_t8", None, labels=[f"kind {i}" for i in range(10)])
        (best,) = self.best(capsys, str(BOOT), "--model", str(path)).values()
        assert best[0][1:] == ("9", "kind 9")
        assert 0.9 < best[0][0] <= 1  # a probability: the file gives logits in int8

    @pytest.mark.parametrize(
        ("tensor", "key", "value", "changes"),
        [
            ("output", "activation", "linear", True),
            ("output", "activation", "softmax", False),
            ("input", "crop_pct", 0.5, True),
            ("input", "interpolation", "bilinear", True),
            ("input", "mean", [0.9, 0.9, 0.9], True),
            ("input", "std", [0.1, 0.1, 0.1], True),
        ],
    )
    def test_what_the_sidecar_says_is_done(self, tflite, capsys, tensor, key, value, changes):
        before = self.best(capsys, str(BOOT), "--model", str(tflite))
        described = sidecar.read(tflite)
        described[tensor][key] = value
        sidecar.beside(tflite).write_text(json.dumps(described))
        assert (self.best(capsys, str(BOOT), "--model", str(tflite)) != before) == changes

    def test_a_sidecar_of_another_file_is_refused(self, tflite, capsys):
        tflite.write_bytes(tflite.read_bytes() + b" ")
        assert command("predict", BOOT, "--model", tflite) == 2
        assert "is not about" in capsys.readouterr().err

    @pytest.mark.filterwarnings("default:.*works until 0.3:DeprecationWarning")
    def test_a_file_that_tells_nothing(self, tmp_path, capsys):
        model = FastViTT8(weights="fashion_mnist", classes=10, data_format="channels_last")
        path = tmp_path / "plain.tflite"
        path.write_bytes(to_tflite(fuse(model)))
        options = ["--model", str(path), "--crop-pct", "1"]
        (best,) = self.best(capsys, str(BOOT), *options, "--top", "2").values()
        assert len(best) == 2
        assert best[0][1:] == ("9", "class 9")
        names = tmp_path / "labels.txt"
        names.write_text("\n".join(f"kind {i}" for i in range(10)))
        (named,) = self.best(capsys, str(BOOT), *options, "--labels", str(names)).values()
        assert named[0] == (best[0][0], "9", "kind 9")
        assert command("predict", BOOT, "--model", path) == 2
        assert "expected --crop-pct" in capsys.readouterr().err
        # As earlier releases had it: beside --tflite, --model says what the file does not.
        options = [*T8, "--weights", "fashion_mnist", "--tflite", path]
        assert command("predict", BOOT, *options) == 0
        printed = capsys.readouterr()
        assert "warning: `predict --tflite` works until 0.3: `--model M.tflite`" in printed.err
        (old,) = answers(printed.out).values()
        assert old[0] == (best[0][0], "9", "Ankle boot")

    def test_json(self, tflite, tmp_path, capsys):
        options = ["--model", tflite, "--top", "2"]
        assert command("predict", BOOT, TROUSER, *options, "--json", "-") == 0
        boot, trouser = json.loads(capsys.readouterr().out)
        assert boot["image"] == str(BOOT)
        assert boot["classes"][0]["name"] == "Ankle boot"
        assert 0.5 < boot["classes"][0]["score"] <= 1
        assert trouser["classes"][0]["label"] == 1
        assert command("predict", BOOT, *options, "--json", tmp_path / "found.json") == 0
        assert "Ankle boot" in capsys.readouterr().out
        assert json.loads((tmp_path / "found.json").read_text()) == [boot]
        assert command("predict", BOOT, *options, "--json", tflite) == 2
        assert "overwrite the file itself" in capsys.readouterr().err

    def test_another_size_and_imagenets_names(self, tmp_path, capsys):
        weights = tmp_path / "W.weights.h5"
        FastViTT8(weights=None).save_weights(weights)
        options = ["--weights", str(weights), "--image-size", "32x48", "--top", "3"]
        (best,) = self.best(capsys, str(BOOT), *T8, *options).values()
        assert len(best) == 3
        assert all(re.fullmatch(r"n\d{8}", label) for _, label, _ in best)

    def test_a_users_model(self, tmp_path, capsys):
        path = str(tmp_path / "mine.keras")
        tiny(input_shape=(None, None, 3)).save(path)
        options = ["--model", path, "--image-size", "64", "--crop-pct", "0.8"]
        (best,) = self.best(capsys, str(BOOT), *options).values()
        assert {name for *_, name in best} == {f"class {i}" for i in range(5)}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["no.png", *T8, "--weights", "fashion_mnist"], "no.png"),
            (["text.png", *T8, "--weights", "fashion_mnist"], "text.png"),
            ([str(BOOT)], "expected --model: a variant"),
            ([str(BOOT), *T8], "expected --weights"),
            ([str(BOOT), *T8, "--weights", "fashion_mnist", "--top", "0"], "top.* Received: .*0"),
            ([str(BOOT), "--model", "mine.keras"], r"which --image-size can give.*None, None, 3"),
            ([str(BOOT), "--model", "no.tflite"], "nothing at 'no.tflite'"),
            ([str(BOOT), "--model", "text.tflite"], "'text.tflite' does not load"),
            ([str(BOOT), "--model", "map.tflite"], r"scores \(1, classes\). Received: .*64"),
            ([str(BOOT), "--model", "no.tflite", "--classes", "7"], "knows its own classes"),
        ],
    )
    def test_bad_input(self, tmp_path, monkeypatch, capsys, options, message):
        monkeypatch.chdir(tmp_path)
        for name in ("text.png", "text.tflite"):
            Path(name).write_text("<html>not found</html>")
        if "map.tflite" in options:
            Path("map.tflite").write_bytes(to_tflite(fuse(tiny(include_top=False))))
        if "mine.keras" in options:
            tiny(input_shape=(None, None, 3)).save("mine.keras")
        assert command("predict", *options) == 2
        printed = capsys.readouterr()
        assert re.search(message, printed.err)
        assert "Traceback" not in printed.err
        assert printed.out == ""


def test_a_path_that_is_no_unicode_can_be_printed(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", printed)
    args = argparse.Namespace(
        parser=argparse.ArgumentParser("x"), verbose=True, run=lambda args: print("K\udcf6nig")
    )
    running.run(args)
    assert printed.buffer.getvalue() == rb"K\udcf6nig" + b"\n"

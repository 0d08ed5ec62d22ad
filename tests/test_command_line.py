"""The console script, and `predict`, by weights and by a `.tflite` file."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from conversion.export_tflite import export
from conversion.predict import main as predict
from keras_fastvit import FastViTT8
from tests.models import tiny

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("command_line")]

ROOT = Path(__file__).resolve().parents[1]
BOOT = next((ROOT / "demo_images/fashion_mnist").glob("9_*/*.png"))
TROUSER = next((ROOT / "demo_images/fashion_mnist").glob("1_*/*.png"))
T8 = ("--model", "fastvit_t8")


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "fashion_mnist.tflite"
    export(FastViTT8(weights="fashion_mnist", classes=10, data_format="channels_last"), path)
    return path


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
        for command in ("port", "export", "predict"):
            assert re.search(rf"^ +{command} +\w", finished.stdout, re.MULTILINE)

    def test_hands_all_arguments_to_the_command(self):
        finished = self.run("predict", "--help")
        assert finished.returncode == 0
        assert finished.stdout.startswith("usage: keras-fastvit predict")
        assert "--tflite" in finished.stdout

    @pytest.mark.parametrize("arguments", [(), ("fly",), ("predict", str(BOOT), *T8)])
    def test_bad_input(self, arguments):
        finished = self.run(*arguments)
        assert finished.returncode == 2
        assert finished.stdout == ""
        assert "error: " in finished.stderr
        assert "Traceback" not in finished.stderr

    def test_commands_are_imported_when_they_run(self):
        code = """if True:
            import sys
            from conversion.__main__ import main
            try:
                main(["--help"])
            except SystemExit:
                print("heavy:", {"keras", "numpy", "tensorflow"} & set(sys.modules))
            """
        finished = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "heavy: set()" in finished.stdout

    def test_is_the_folders_main(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["scripts"] == {"keras-fastvit": "keras_fastvit.conversion.__main__:main"}


class TestPredict:
    def test_weights_and_their_file_agree(self, tflite, capsys):
        images = [str(BOOT), str(TROUSER)]
        assert predict([*images, *T8, "--weights", "fashion_mnist"]) == 0
        by_model = answers(capsys.readouterr().out)
        options = ["--weights", "fashion_mnist", "--tflite", str(tflite)]
        assert predict([*images, *T8, *options]) == 0
        by_file = answers(capsys.readouterr().out)
        assert list(by_model) == list(by_file) == images
        assert by_model[images[0]][0][1:] == ("9", "Ankle boot")
        assert by_model[images[1]][0][1:] == ("1", "Trouser")
        for image in images:
            assert len(by_model[image]) == 5
            scores = [score for score, *_ in by_model[image]]
            assert scores == sorted(scores, reverse=True)
            assert sum(scores) <= 1.001  # rounded
            np.testing.assert_allclose(scores, [score for score, *_ in by_file[image]], atol=2e-4)

    def test_unnamed_classes_are_numbered(self, tflite, capsys):
        assert predict([str(BOOT), *T8, "--tflite", str(tflite), "--top", "2"]) == 0
        best = answers(capsys.readouterr().out)[str(BOOT)]
        assert len(best) == 2
        assert best[0][1:] == ("9", "class 9")

    def test_another_size_and_imagenets_names(self, tmp_path, capsys):
        weights = tmp_path / "W.weights.h5"
        FastViTT8(weights=None).save_weights(weights)
        options = ["--weights", str(weights), "--image-size", "32x48", "--top", "3"]
        assert predict([str(BOOT), *T8, *options]) == 0
        best = answers(capsys.readouterr().out)[str(BOOT)]
        assert len(best) == 3
        assert all(re.fullmatch(r"n\d{8}", label) for _, label, _ in best)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["no.png", "--weights", "fashion_mnist"], "no.png"),
            (["text.png", "--weights", "fashion_mnist"], "text.png"),
            ([str(BOOT)], "expected --weights, --tflite, or both"),
            ([str(BOOT), "--weights", "fashion_mnist", "--top", "0"], "top.* Received: .*0"),
            ([str(BOOT), "--tflite", "no.tflite"], "nothing at 'no.tflite'"),
            ([str(BOOT), "--tflite", "text.png"], "'text.png' does not load"),
            ([str(BOOT), "--tflite", "map.tflite"], r"scores \(1, classes\). Received: .*64"),
            ([str(BOOT), "--tflite", "no.tflite", "--classes", "7"], "knows its own classes"),
        ],
    )
    def test_bad_input(self, tmp_path, monkeypatch, capsys, options, message):
        monkeypatch.chdir(tmp_path)
        Path("text.png").write_text("<html>not found</html>")
        if "map.tflite" in options:
            export(tiny(include_top=False), "map.tflite")
        with pytest.raises(SystemExit) as error:
            predict([*options, *T8])
        assert error.value.code == 2
        printed = capsys.readouterr()
        assert re.search(message, printed.err)
        assert "Traceback" not in printed.err
        assert printed.out == ""

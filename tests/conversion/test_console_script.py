"""The console script answers at once, and says nothing but its own words."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_fastvit.conversion.__main__ import COMMANDS, make_parser
from keras_fastvit.conversion.native_output import captured

pytestmark = pytest.mark.single_backend

SCRIPT = Path(sys.executable).with_name("keras-fastvit")
HEAVY = ("keras", "tensorflow", "jax", "torch", "numpy", "rich", "PIL")

STARTS = [
    *([name, "--help"] for name in COMMANDS),
    ["--help"],
    ["--version"],
    ["--print-completion", "bash"],
    [],
    ["fly"],
    ["export", "--model", "fastvit_t8"],
    ["export", "--model", "fastvit_t8", "--output", "M.tflite"],
    ["train", "--data", "D", "--model", "fastvit_t9", "--output", "R"],
    ["predict"],
    ["benchmark"],
]


@pytest.mark.parametrize("arguments", STARTS, ids=" ".join)
def test_arguments_are_read_without_anything_heavy(arguments: list[str]) -> None:
    code = f"""if True:
        import sys
        from keras_fastvit.conversion.__main__ import main
        try:
            main({arguments!r})
        except SystemExit as end:
            print("status:", end.code or 0)
        print("heavy:", sorted(set({HEAVY!r}) & set(sys.modules)))
        """
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    *_, status, heavy = finished.stdout.splitlines()
    assert heavy == "heavy: []"
    helps = {"--help", "--version", "--print-completion"} & set(arguments)
    assert status == f"status: {0 if helps else 2}", finished.stderr
    if not helps:
        assert finished.stderr.startswith("usage: keras-fastvit")
        assert "error: " in finished.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_command(shell: str) -> None:
    finished = subprocess.run(
        [SCRIPT, "--print-completion", shell], capture_output=True, text=True, check=True
    )
    assert all(name in finished.stdout for name in COMMANDS)
    assert "--calibration" in finished.stdout


def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    command = f"'{SCRIPT}' --print-completion bash | head -n 1"
    finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert finished.stderr == ""
    assert len(finished.stdout.splitlines()) == 1


def test_the_parser_is_made_of_the_commands_own_words() -> None:
    text = make_parser().format_help()
    assert all(f"\n    {name}" in text for name in COMMANDS)


class TestNativeOutput:
    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        start = "import os, sys\nfrom keras_fastvit.conversion.native_output import captured\n"
        return subprocess.run(
            [sys.executable, "-c", start + code], capture_output=True, text=True, check=True
        )

    def test_native_code_is_kept_from_the_screen_and_python_is_not(self) -> None:
        finished = self.run(
            "with captured() as output:\n"
            "    os.write(2, b'native\\n'); print('python', file=sys.stderr)\n"
            "    os.system('echo a child >&2')\n"
            "print('after', file=sys.stderr); os.write(2, b'native after\\n')"
        )
        assert finished.stderr == "python\nafter\nnative after\n"

    def test_what_was_printed_can_be_shown(self) -> None:
        with captured() as output:
            subprocess.run([sys.executable, "-c", "import os; os.write(2, b'why it failed')"])
            assert output.text() == "why it failed"

    def test_errors_are_told_from_news(self) -> None:
        printed = (
            "I0000 00:00:17.7 16233 port.cc:153] oneDNN custom operations are on.\\n"
            "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n"
            "ERROR: Node number 7 (CONV_2D) failed to prepare.\\n"
            "F0000 00:00:17.7 16233 shape.cc:9] Check failed: rank == 4\\n"
        )
        with captured() as output:
            subprocess.run([sys.executable, "-c", f"import os; os.write(2, b'{printed}')"])
            first, second = output.errors().splitlines()
        assert first.startswith("ERROR: Node number 7")
        assert second.endswith("Check failed: rank == 4")

    def test_nothing_is_captured_unless_wanted(self) -> None:
        finished = self.run("with captured(enabled=False):\n    os.write(2, b'native')")
        assert finished.stderr == "native"

    def test_an_error_leaves_the_screen_as_it_was(self) -> None:
        finished = self.run(
            "try:\n    with captured():\n        raise ValueError\n"
            "except ValueError:\n    os.write(2, b'native')\n    print('python', file=sys.stderr)"
        )
        assert finished.stderr == "nativepython\n"


def test_a_successful_run_prints_its_own_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "t8.tflite"
    arguments = ["--model", "fastvit_t8", "--weights", "random", "--image-size", "64"]
    finished = subprocess.run(
        [SCRIPT, "export", *arguments, "--output", path], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert finished.stdout.startswith(f"{path}: ")
    noisy = subprocess.run(
        [SCRIPT, "inspect", path, "--verbose"], capture_output=True, text=True, check=True
    )
    assert "XNNPACK delegate" in noisy.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_helps_can_be_pasted(name: str) -> None:
    """A line that ends in a backslash has not lost it, and with it its end."""
    help_text = run_help(name)
    examples = [line for line in help_text.splitlines() if line.startswith("    keras-fastvit ")]
    assert examples
    assert all(len(line) <= 100 and "     " not in line.strip() for line in examples)


def run_help(name: str) -> str:
    finished = subprocess.run([SCRIPT, name, "--help"], capture_output=True, text=True, check=True)
    return finished.stdout

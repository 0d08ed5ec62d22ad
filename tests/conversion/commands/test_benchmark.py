"""Timing `.tflite` files: in turns, on random inputs, with the medians' ratios."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from keras_fastvit.conversion.commands.timing_report import plot
from keras_fastvit.conversion.tflite import timing as module
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.timing import Timing, benchmark
from tests.commands import command
from tests.models import TINY
from tests.tflite_files import crashing_content, write_sidecar, write_tiny_files

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("tflite_files")]


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    return write_tiny_files(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """Files that take as long as they are told to, by a clock of their own, and what they do."""
    state = SimpleNamespace(now=0.0, durations={}, runs=[], inputs={}, threads=set())

    class Model(TFLiteModel):
        def __init__(self, path, num_threads=None):
            super().__init__(path, num_threads)
            self.path = path
            state.threads.add(num_threads)

        def __call__(self, inputs):
            state.inputs[self.path] = inputs
            return inputs

        def invoke(self):
            runs = state.runs.count(self.path)
            state.runs.append(self.path)
            state.now += state.durations[self.path](runs)

    monkeypatch.setattr(module, "TFLiteModel", Model)
    monkeypatch.setattr(module.time, "perf_counter", lambda: state.now)
    return state


class TestBenchmark:
    def test_medians_percentiles_and_ratios(self, files, clock):
        # The warm-up is slow; then 1, 2, … 9 seconds, and half of that.
        clock.durations = {
            files[0]: lambda run: 100.0 if run < 4 else run - 3,
            files[1]: lambda run: 100.0 if run < 4 else (run - 3) / 2,
        }
        first, second = benchmark(files, threads=3, rounds=9, warm_up=4)
        assert (first.path, second.path) == files
        assert first.median == pytest.approx(5)
        assert first.p90 == pytest.approx(np.percentile(np.arange(1, 10), 90))
        assert second.median == pytest.approx(2.5)
        assert (first.ratio, second.ratio) == (1, pytest.approx(0.5))
        assert clock.threads == {3}

    def test_takes_turns_and_changes_who_begins(self, files, clock):
        clock.durations = dict.fromkeys(files, lambda run: 1.0)
        benchmark(files, rounds=3, warm_up=1)
        a, b = files
        assert clock.runs == [a, b, b, a, a, b, b, a]

    def test_inputs_are_random_in_the_files_range(self, files, clock):
        clock.durations = dict.fromkeys(files, lambda run: 1.0)
        benchmark(files, rounds=1, warm_up=0)
        normal, integers = clock.inputs[files[0]], clock.inputs[files[1]]
        assert normal.shape == integers.shape == (1, 64, 64, 3)
        assert normal.dtype == np.float32
        assert normal.std() == pytest.approx(1, abs=0.05)
        assert integers.dtype == np.int8
        assert set(integers.ravel().tolist()) == set(range(-128, 128))

    def test_for_real(self, files):
        timings = benchmark([str(path) for path in files], threads=1, rounds=5, warm_up=1)
        assert [timing.path for timing in timings] == list(files)
        assert all(0 < timing.median <= timing.p90 < 10 for timing in timings)

    @pytest.mark.parametrize(
        "options", [{"threads": 0}, {"rounds": 0}, {"warm_up": -1}, {"paths": []}]
    )
    def test_refuses_numbers_out_of_range(self, files, options):
        with pytest.raises(ValueError, match=r"at least one file, thread and round. Received: "):
            benchmark(**{"paths": files, **options})

    def test_refuses_indices(self, tmp_path):
        """Random ones would be outside of the table that they are for."""
        import tensorflow as tf

        holder = tf.Module()
        holder.forward = tf.function(
            lambda i: tf.gather(tf.constant([1.0, 2.0]), i), [tf.TensorSpec((1,), tf.int32)]
        )
        function = holder.forward.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        path = tmp_path / "gather.tflite"
        path.write_bytes(converter.convert())
        with pytest.raises(ValueError, match=r"floats. Received: '.*gather.tflite'.* int32"):
            benchmark([path])


def test_plot_grows_with_the_files(tmp_path):
    def drawn(medians):
        timings = [
            Timing(tmp_path / f"{i}" / "model.tflite", m, 1.2 * m, m / medians[0])
            for i, m in enumerate(medians)
        ]
        plot(timings, tmp_path / "chart.png")
        with Image.open(tmp_path / "chart.png") as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB")).astype(int)
        return pixels.shape[0], (np.abs(pixels - (0x48, 0x78, 0xA8)).max(axis=-1) < 8).sum()

    height, painted = drawn([0.01, 0.01])
    assert painted > 10_000
    taller, _ = drawn([0.01] * 6)
    assert taller > height
    _, half = drawn([0.01, 0.0001])
    assert half < 0.6 * painted


class TestMain:
    def test_prints_and_writes(self, files, tmp_path, capsys):
        figures, chart = tmp_path / "times.json", tmp_path / "times.png"
        options = ["--threads", "1", "--rounds", "3", "--json", str(figures), "--plot", str(chart)]
        assert command("benchmark", *files, *options) == 0
        written = json.loads(figures.read_text())
        assert (written["threads"], written["rounds"], written["unit"]) == (1, 3, "seconds")
        assert written["machine"]["ai_edge_litert"]
        rows = written["files"]
        assert [row["path"] for row in rows] == [str(path) for path in files]
        assert rows[0]["ratio"] == 1
        assert rows[1]["ratio"] == pytest.approx(rows[1]["median"] / rows[0]["median"])
        printed = capsys.readouterr().out
        for row in rows:
            shown = f"{1e3 * row['median']:.3g} ms"
            assert re.search(rf"{re.escape(shown)} │ .* │ +{row['ratio']:.2f} │", printed)
        assert chart.read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("case", "message"),
        [
            ("missing", "nothing at"),
            ("empty", "does not load"),
            ("crash", "crashes LiteRT"),
            ("hash", "SHA-256"),
            ("threads", "Received: 1 files, threads=0"),
            ("folder", "expected an existing folder"),
            ("sidecar", "--json would overwrite a sidecar"),
        ],
    )
    def test_bad_input(self, files, tmp_path, capsys, case, message):
        path, options = files[0], ["--rounds", "1"]
        if case == "missing":
            path.unlink()
        elif case == "empty":
            path.write_bytes(b"")
        elif case == "crash":
            path.write_bytes(crashing_content())
        elif case == "hash":
            write_sidecar(path, TINY.name, None)
            path.write_bytes(files[1].read_bytes())
        elif case == "threads":
            options += ["--threads", "0"]
        elif case == "folder":
            options += ["--json", str(tmp_path / "no" / "times.json")]
        else:
            options += ["--json", str(path.with_suffix(".json"))]
        assert command("benchmark", path, *options) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert "Traceback" not in printed
        assert not path.with_suffix(".json").exists() or case == "hash"

"""Times the inference form on each Keras backend beside timm's, and writes the ratios.

    make bench

that is `python -m benchmarks.forward`, where timm and all three backends are installed;
about ten minutes on two cores. Writes `benchmarks/keras.json` and `benchmarks/keras.md`, which it
prints. TensorFlow's ratio should be at most 1.1.

All engines run in one run: each in a process of its own, loaded with the same weights, taking
turns of one forward pass, so that what disturbs the machine disturbs all of them. Their outputs
are compared before anything is timed.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forward_worker import CLASSES, SIDE
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.commands.machine import machine
from keras_fastvit.conversion.references import timm as timm_reference

CASES = [(variant, batch) for variant in ("fastvit_t8", "fastvit_sa12") for batch in (1, 8)]
REFERENCE = "timm"
ENGINES = {
    REFERENCE: ("timm", "torch"),
    "tensorflow": ("keras", "tensorflow"),
    "tensorflow, frozen": ("keras_frozen", "tensorflow"),
    "jax": ("keras", "jax"),
    "torch": ("keras", "torch"),
}
"""By name: what `forward_worker` runs, and the Keras backend."""
TARGETS = {"tensorflow": 1.1, "tensorflow, frozen": 1.1}
"""The largest ratio to the reference that is wanted."""

WARM_UP, ROUNDS = 5, 40
TOLERANCE = 1e-5
"""Largest difference between an engine's outputs and the reference's, over the largest output."""

PACKAGES = ("keras", "tensorflow", "jax", "torch", "timm", "numpy")
SET_UP = {
    "timm": "timm, fused with `reparameterize_model`, memory format channels_last, eager under "
    "`torch.inference_mode()`",
    "tensorflow": "`keras_fastvit.fuse`, a `tf.function` of one static shape, weights in variables",
    "tensorflow, frozen": "the same, the weights in constants as in a file for deployment "
    "(`convert_variables_to_constants_v2`)",
    "jax": "`keras_fastvit.fuse`, `jax.jit` of `stateless_call`, weights as arguments",
    "torch": "`keras_fastvit.fuse`, eager under `torch.inference_mode()`",
}
REASONS = {
    "tensorflow": "oneDNN reorders the weights at each call, unless they are constants.",
    "jax": "XLA has no fast depthwise convolution for CPUs.",
    "torch": "Keras' torch backend keeps channels last by transposing around every convolution.",
}
"""Why an engine is slower than the reference."""


@dataclass(frozen=True)
class Timing:
    """One engine on one case.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        batch: Images in one forward pass.
        engine: A Keras backend, or `"timm"`.
        milliseconds: Median of one forward pass.
        ratio: `milliseconds` over the reference's.
        difference: `max|engine - reference| / max|reference|` of the outputs.
    """

    variant: str
    batch: int
    engine: str
    milliseconds: float
    ratio: float
    difference: float


class _Worker:
    """A process of `forward_worker`, whose calls are timed one by one."""

    def __init__(self, engine: str, variant: str, batch: int, weights: Path) -> None:
        kind, backend = ENGINES[engine]
        module = "benchmarks.forward_worker"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, kind, variant, str(batch), str(weights)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "CUDA_VISIBLE_DEVICES": "-1",
                "JAX_PLATFORMS": "cpu",
                "TF_CPP_MIN_LOG_LEVEL": "2",
            },
        )
        self._name = f"{engine} on {variant}, batch {batch}"

    def outputs(self) -> Array:
        """Returns the outputs `(batch, classes)` of the first forward pass; called once."""
        return np.array(json.loads(self._line()), "float32")

    def milliseconds(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                "A process of the benchmark ended early; its own message is above. "
                f"Received: exit status {self._process.wait()} from {self._name}"
            )
        return line

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def measure(variant: str, batch: int) -> list[Timing]:
    """Times all engines on one case, taking turns.

    Raises:
        ImportError: If timm is not installed.
        RuntimeError: If an engine fails.
        ArithmeticError: If the engines do not compute the same.
    """
    with _workers(variant, batch) as workers:
        outputs = {engine: worker.outputs() for engine, worker in workers.items()}
        expected = outputs[REFERENCE]
        differences = {
            engine: float(np.abs(received - expected).max() / np.abs(expected).max())
            for engine, received in outputs.items()
        }
        for engine, difference in differences.items():
            if not difference <= TOLERANCE:
                raise ArithmeticError(
                    f"The engines must compute the same, to {TOLERANCE:.0e} of the largest output. "
                    f"Received: {difference:.1e} for {engine} on {variant}, batch {batch}"
                )
        rounds = [
            {engine: worker.milliseconds() for engine, worker in workers.items()}
            for _ in range(WARM_UP + ROUNDS)
        ]
    medians = {
        engine: float(np.median([times[engine] for times in rounds[WARM_UP:]]))
        for engine in workers
    }
    return [
        Timing(variant, batch, engine, ms, ms / medians[REFERENCE], differences[engine])
        for engine, ms in medians.items()
    ]


@contextlib.contextmanager
def _workers(variant: str, batch: int) -> Iterator[dict[str, _Worker]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        weights = Path(folder, "weights.safetensors")
        model = timm_reference.create_model(variant, CLASSES)
        timm_reference.randomize(model, seed=0)
        timm_reference.save(model, weights)
        workers = {}
        for engine in ENGINES:
            workers[engine] = _Worker(engine, variant, batch, weights)
            stack.callback(workers[engine].close)
        yield workers


def to_markdown(timings: Sequence[Timing], facts: dict[str, Any]) -> str:
    """Returns the report: a table, the set-up, and the reasons for ratios above 1."""
    lines = [
        "# Forward pass beside timm",
        "",
        f"Written by `make bench`. Inference form, {SIDE}×{SIDE}, float32, medians of {ROUNDS} "
        "rounds in which the engines took turns. Milliseconds are this machine's; the ratios to "
        "timm, in brackets, are what counts.",
        "",
        "| | " + " | ".join(ENGINES) + " |",
        "|---" * (len(ENGINES) + 1) + "|",
    ]
    for variant, batch in dict.fromkeys((timing.variant, timing.batch) for timing in timings):
        cells = [
            f"{timing.milliseconds:.1f} ms ({timing.ratio:.2f})"
            for timing in timings
            if (timing.variant, timing.batch) == (variant, batch)
        ]
        lines.append(f"| {variant}, batch {batch} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {engine}: {how}." for engine, how in SET_UP.items()), ""]
    for engine, target in TARGETS.items():
        worst = max(timing.ratio for timing in timings if timing.engine == engine)
        verdict = "met" if worst <= target else "missed"
        lines.append(f"{engine}'s target, a ratio of at most {target}: {verdict} ({worst:.2f}).")
    for engine, reason in REASONS.items():
        if any(timing.ratio > 1 for timing in timings if timing.engine == engine):
            lines.append(f"Why {engine} takes longer: {reason}")
    largest = max(timing.difference for timing in timings)
    lines += [
        f"The engines' outputs differ from timm's by at most {largest:.0e} of the largest.",
        "",
        "Machine: " + ", ".join(f"{name} {value}" for name, value in facts.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Times the inference form beside timm's.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    args = parser.parse_args(argv)
    try:
        timings = []
        for variant, batch in CASES:
            timings += measure(variant, batch)
            for timing in timings[-len(ENGINES) :]:
                print(f"{variant} batch {batch} {timing.engine}: {timing.ratio:.2f}", flush=True)
        facts = machine(PACKAGES)
        report = to_markdown(timings, facts)
        content = {"machine": facts, "timings": [asdict(timing) for timing in timings]}
        args.output.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("keras.json", json.dumps(content, indent=2) + "\n"),
            ("keras.md", report),
        ):
            with written_beside(args.output / name) as unfinished:
                unfinished.write_text(text, encoding="utf-8")
    except (ArithmeticError, ImportError, OSError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Times a training step on each Keras backend beside timm's, and writes the ratios.

    make bench-training

that is `python -m benchmarks.training_throughput`, where timm and all three backends are installed;
twenty minutes on two cores. Writes `benchmarks/training_throughput.json` after each row, goes on
from there if it was interrupted, and brings `benchmarks/training.md` up to date.

Each backend is compared with timm in eager PyTorch in one run: both in processes of their own
with the same weights and images, taking turns of one step, so that what disturbs the machine
disturbs both. The losses of their first steps are compared before anything is timed.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forward import PACKAGES
from benchmarks.training_report import write_report
from benchmarks.training_step import CLASSES
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.commands.machine import machine
from keras_fastvit.conversion.references import timm as timm_reference

REFERENCE = ("timm", "torch")
TOLERANCE = 1e-4
"""Largest difference between a backend's first loss and timm's, over timm's."""


@dataclass(frozen=True)
class Case:
    """A model to train, and how often its step is timed.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        side: Of the images in pixels.
        batch: Images a step.
        backends: Of Keras. XLA's depthwise convolutions on CPU are some thirty times slower than
            others', so JAX has a case of its own.
        rounds: Timed steps, after a first one that is not timed.
    """

    variant: str
    side: int
    batch: int
    backends: tuple[str, ...]
    rounds: int


CASES = (
    Case("fastvit_t8", 64, 4, ("tensorflow", "jax", "torch"), 9),
    Case("fastvit_t8", 64, 32, ("tensorflow", "torch"), 9),
    Case("fastvit_sa12", 64, 32, ("tensorflow", "torch"), 9),
    Case("fastvit_t8", 256, 32, ("tensorflow", "torch"), 2),
    Case("fastvit_sa12", 256, 32, ("tensorflow", "torch"), 1),
)


@dataclass(frozen=True)
class Timing:
    """A backend beside timm on one case.

    Attributes:
        variant: As the case's.
        side: As the case's.
        batch: As the case's.
        backend: Of Keras.
        images_per_second: Of the backend, by its median step.
        timm_images_per_second: Of timm, in the same run.
        ratio: The backend's median time over timm's.
    """

    variant: str
    side: int
    batch: int
    backend: str
    images_per_second: float
    timm_images_per_second: float
    ratio: float


_CASE = ("variant", "side", "batch", "backend")


class _Worker:
    """A process of `training_step`, whose steps are timed one by one."""

    def __init__(self, kind: str, backend: str, case: Case, weights: Path) -> None:
        arguments = [kind, case.variant, str(case.side), str(case.batch), str(weights)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_step", *arguments],
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

    def number(self) -> float:
        """Returns the next: the first loss, then a step's milliseconds."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                "A process of the benchmark ended early; its own message is above. "
                f"Received: exit status {self._process.wait()}"
            )
        return float(line)

    def milliseconds(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.number()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def measure(case: Case, backend: str) -> Timing:
    """Times a backend and timm on one case, taking turns.

    Raises:
        ImportError: If timm is not installed.
        RuntimeError: If an engine fails.
        ArithmeticError: If the engines do not compute the same loss.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        weights = Path(folder, "weights.safetensors")
        model = timm_reference.create_model(case.variant, CLASSES)
        timm_reference.randomize(model, seed=0)
        timm_reference.save(model, weights)
        workers = [_Worker("keras", backend, case, weights), _Worker(*REFERENCE, case, weights)]
        for worker in workers:
            stack.callback(worker.close)
        loss, expected = (worker.number() for worker in workers)
        if not abs(loss - expected) <= TOLERANCE * expected:
            raise ArithmeticError(
                f"Both must begin with the same loss. Expected: timm's, {expected}. "
                f"Received: {loss} on {backend}, for {case}"
            )
        rounds = [[worker.milliseconds() for worker in workers] for _ in range(case.rounds)]
    own, timm = np.median(rounds, axis=0)
    return Timing(
        *(case.variant, case.side, case.batch, backend),
        images_per_second=float(1e3 * case.batch / own),
        timm_images_per_second=float(1e3 * case.batch / timm),
        ratio=float(own / timm),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Times training steps beside timm's.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    args = parser.parse_args(argv)
    path = args.output / "training_throughput.json"
    found: dict[str, Any] = {"machine": machine(PACKAGES), "timings": []}
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier["machine"] == found["machine"]:
            found = earlier
    done = {tuple(row[name] for name in _CASE) for row in found["timings"]}
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        for case in CASES:
            for backend in case.backends:
                if (case.variant, case.side, case.batch, backend) in done:
                    continue
                timing = measure(case, backend)
                print(timing, flush=True)
                found["timings"].append(asdict(timing))
                with written_beside(path) as unfinished:
                    unfinished.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(write_report(args.output).read_text(encoding="utf-8"))
    except (ArithmeticError, ImportError, OSError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

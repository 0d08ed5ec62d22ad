"""Feeds damaged files to every reader of files from outside, and counts what becomes of them.

    make fuzz                       all of them: hours
    make fuzz FUZZ="--minutes 1"    what there is time for; CI does this
    make fuzz FUZZ="--only images --seed 7"

that is `python -m tests.fuzzing` with KERAS_BACKEND=tensorflow. A fault is an exception that is not
documented, a message without the file's name or that could steer a terminal, more than 60 s, more
than 1 GiB beyond what undamaged files take, a crash, or code that runs. Exits with 1 if there is
one; the inputs are in `build/fuzzing` then. A whole run writes `docs/robustness.json` and the table
in `docs/robustness.md`.
"""

import argparse
import hashlib
import multiprocessing
import os
import queue
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzzing.process import MOST_SECONDS, Outcome, serve
from tests.fuzzing.report import write_report
from tests.fuzzing.targets import ROOT, TARGETS, Target

FOUND = ROOT / "build" / "fuzzing"
_KEPT_OF_EACH = 3
_START = 300.0
"""Seconds in which a process starts, imports Keras and makes undamaged files."""


@dataclass
class Result:
    """What became of a target's inputs.

    Attributes:
        inputs: How many were read.
        refused: How many of them ended in the documented exception.
        seconds: What the slowest took.
        memory: Bytes that the largest took beyond what there was.
        faults: How many had which fault.
    """

    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    memory: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Lane:
    """One process after the other, each of which goes on where the one before has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = multiprocessing.get_context("spawn")
        self.process: Any = None

    def _start(self) -> None:
        self.connection, theirs = self.context.Pipe()
        self.number = self.context.Value("q", -1)
        self.process = self.context.Process(
            target=serve, args=(theirs, self.number, str(self.folder)), daemon=False
        )
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.connection.close()
            self.process.join(5)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
            self.process = None

    def run(self, target: Target, seed: int, count: int, seconds: float) -> Result:
        """Reads inputs of a target until there are `count`, or the time is over."""
        result, first, end = Result(), 0, time.monotonic() + seconds
        while first < count and time.monotonic() < end:
            if self.process is None:
                self._start()
            self.number.value = -1
            self.connection.send((target.name, seed, first, count, end - time.monotonic()))
            fault = self._watch(target, result)
            if fault is None:
                break
            stopped_at = self.number.value
            self.process.kill()
            self.stop()
            if stopped_at < 0:
                raise RuntimeError(f"{target.name}: the process does not get ready: {fault}")
            result.inputs += stopped_at % 50 + 1
            result.faults[fault] += 1
            path = self.folder / target.name.replace(" ", "_") / target.file
            _keep(target, path.read_bytes(), Outcome(fault, False, fault, 0, 0), stopped_at)
            first = stopped_at + 1
        return result

    def _watch(self, target: Target, result: Result) -> str | None:
        """Notes what the process says until it is done; returns what ended it before."""
        at, since = -1, time.monotonic()
        while True:
            try:
                while self.connection.poll(0.2):
                    kind, number, content, outcome = self.connection.recv()
                    if kind == "fault":
                        result.faults[outcome.fault] += 1
                        _keep(target, content, outcome, number)
                        continue
                    if kind == "failed":
                        raise RuntimeError(f"{target.name}: no undamaged files: {content}")
                    read, refused, seconds, memory = content
                    result.inputs += read
                    result.refused += refused
                    result.seconds = max(result.seconds, seconds)
                    result.memory = max(result.memory, memory)
                    if kind == "done":
                        return None
            except (EOFError, OSError):
                self.process.join(5)
                return f"ends the process with status {self.process.exitcode}"
            if self.number.value != at:
                at, since = self.number.value, time.monotonic()
            if time.monotonic() - since > (MOST_SECONDS + 10 if at >= 0 else _START):
                return f"takes more than {MOST_SECONDS:g} s"


def _keep(target: Target, content: bytes, outcome: Outcome, number: int) -> None:
    """Writes an input that has shown a fault, the first few of each kind."""
    fault = hashlib.sha256((outcome.fault or "").encode()).hexdigest()[:8]
    folder = FOUND / target.name.replace(" ", "_") / fault
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.iterdir())) < 2 * _KEPT_OF_EACH:
        (folder / f"{number}-{target.file}").write_bytes(content)
        (folder / f"{number}.txt").write_text(
            f"{outcome.fault}\n\n{outcome.detail}", "utf-8", "replace"
        )


def run(
    targets: list[Target], seed: int, share: float, seconds: float | None, whole: bool = False
) -> dict[str, Result]:
    """Reads damaged files with some targets.

    Args:
        targets: Which.
        seed: Decides the damage.
        share: Of each target's inputs.
        seconds: For all of them; None for as long as it takes.
        whole: Whether to write the report, whenever a target is done.
    """
    lanes = min(os.cpu_count() or 1, len(targets))
    each = float("inf") if seconds is None else seconds * lanes / len(targets)
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for target in targets:
        waiting.put(target)
    results: dict[str, Result] = {}
    failed: list[BaseException] = []
    done = threading.Lock()

    def drain(folder: Path) -> None:
        lane = Lane(folder)
        try:
            while True:
                target = waiting.get_nowait()
                result = lane.run(target, seed, max(1, round(share * target.inputs)), each)
                with done:
                    results[target.name] = result
                    if whole:
                        write_report({target.name: vars(result)}, seed)
                print(
                    f"{target.name}: {result.inputs} inputs, {result.refused} refused, slowest "
                    f"{result.seconds:.1f} s, {result.memory >> 20} MiB",
                    flush=True,
                )
                for fault, count in result.faults.most_common():
                    print(f"    {count} × {fault}", flush=True)
        except queue.Empty:
            pass
        except BaseException as error:
            failed.append(error)
        finally:
            lane.stop()

    with tempfile.TemporaryDirectory() as place:
        threads = []
        for i in range(lanes):
            folder = Path(place, str(i))
            folder.mkdir()
            threads.append(threading.Thread(target=drain, args=(folder,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return {target.name: results[target.name] for target in targets}


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Feeds damaged files to every reader.")
    parser.add_argument("--minutes", type=float, metavar="N", help="for all (no limit)")
    parser.add_argument("--share", type=float, default=1.0, help="of each reader's inputs (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the damage (0)")
    parser.add_argument(
        "--only", action="append", choices=[x.name for x in TARGETS], help="a reader; repeatable"
    )
    args = parser.parse_args()
    targets = [target for target in TARGETS if not args.only or target.name in args.only]
    whole = args.minutes is None and args.share >= 1
    results = run(targets, args.seed, args.share, args.minutes and 60 * args.minutes, whole)
    faults = sum(result.faults.total() for result in results.values())
    inputs = sum(result.inputs for result in results.values())
    print(f"{inputs} inputs, {faults} faults{f': see {FOUND}' if faults else ''}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

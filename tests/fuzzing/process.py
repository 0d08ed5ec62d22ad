"""Reads damaged files in a process of its own, which may crash, hang or take all memory."""

import contextlib
import os
import random
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzzing.mutations import damaged
from tests.fuzzing.targets import TARGETS, Target

MOST_SECONDS = 60.0
MOST_MEMORY = 1 << 30
"""Bytes that an input may take beyond what undamaged ones take."""

_FEWEST = 10
"""Inputs of a reader that are tried when there is no time left, as to import Keras took it."""

_ROOM = 6 << 30
_LONGEST_MESSAGE = 4000

_RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen",
              "pickle.find_class", "socket.connect", "os.remove", "shutil.rmtree")  # fmt: skip
"""What Python tells of what runs in it, none of which reading a file needs."""


@dataclass(frozen=True)
class Outcome:
    """What became of reading one input.

    Attributes:
        fault: What is wrong about it, in a few words that are the same for the same cause; None if
            it was read, or refused as documented.
        refused: Whether it was refused.
        detail: The traceback.
        seconds: That it took.
        memory: Bytes at its peak, beyond those before.
    """

    fault: str | None
    refused: bool
    detail: str
    seconds: float
    memory: int


class Reader:
    """Reads inputs of a target, and says what became of each.

    Args:
        target: Whose files.
        folder: An empty one.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.path = target, folder / target.file
        for name, content in target.around().items():
            other = folder / name
            other.parent.mkdir(parents=True, exist_ok=True)
            other.write_bytes(content)
        self.memory = 0
        self.seeds: list[bytes] = []

    def try_undamaged(self) -> None:
        """Makes undamaged files, and sees what memory they take.

        Raises:
            AssertionError: If one of them is refused.
        """
        self.seeds = self.target.seeds()
        for content in self.seeds:
            self(content)  # imports, which start processes; caches
        outcomes = [self(content) for content in self.seeds]
        for outcome in outcomes:
            if outcome.fault or outcome.refused:
                raise AssertionError(f"an undamaged file: {outcome}")
        self.memory = max(outcome.memory for outcome in outcomes)

    def input(self, seed: int, number: int) -> bytes:
        """Returns one of the target's inputs."""
        rng = random.Random(f"{seed} {self.target.name} {number}")
        return damaged(rng.choice(self.seeds), rng, self.seeds)

    def __call__(self, content: bytes) -> Outcome:
        """Reads one input."""
        self.path.write_bytes(content)
        ran: list[str] = []
        fault, refused, detail = None, False, ""
        began, before = time.monotonic(), _reset_peak()
        with _watched(ran, self.target.starts_processes):
            try:
                self.target.read(self.path)
            except BaseException as error:
                refused = isinstance(error, self.target.errors)
                fault = self._fault_of(error)
                detail = "".join(traceback.format_exception(error))
        seconds, memory = time.monotonic() - began, _peak() - before
        if ran:
            fault, detail = f"runs code: {ran[0]}", f"{ran}\n{detail}"
        elif seconds > MOST_SECONDS:
            fault = f"takes more than {MOST_SECONDS:g} s"
        elif memory > self.memory + MOST_MEMORY:
            fault = f"takes more than {MOST_MEMORY >> 30} GiB"
        return Outcome(fault, refused, detail, seconds, memory)

    def _fault_of(self, error: BaseException) -> str | None:
        where = _place_of(error)
        if not isinstance(error, self.target.errors):
            return f"{type(error).__name__} {where}"
        message = str(error)
        if (self.target.named or self.path.name) not in message:
            return f"a message without the file's name {where}"
        if any(unicodedata.category(x) in ("Cc", "Cs", "Zl", "Zp") for x in message):
            return f"a message of control characters or several lines {where}"
        if len(message) > _LONGEST_MESSAGE:
            return f"a message of more than {_LONGEST_MESSAGE} characters {where}"
        inner: BaseException | None = error
        while inner is not None:
            if isinstance(inner, MemoryError):
                return f"asks for more than {_ROOM >> 30} GiB {where}"
            inner = inner.__cause__ or inner.__context__
        return None


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [x for x in frames if "/keras_fastvit/" in x.filename or "/conversion/" in x.filename]
    last = (ours or frames)[-1]
    return f"in {last.name} ({Path(last.filename).name}:{last.lineno})"


_TEMPORARY = tempfile.gettempdir()  # it removes a file when it is first asked

_watching: list[tuple[list[str], bool]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _RUNS_CODE:
        ran, starts_processes = _watching[-1]
        own = starts_processes and event in ("subprocess.Popen", "os.fork", "os.posix_spawn")
        if event in ("os.remove", "shutil.rmtree"):  # Keras unpacks to temporary folders
            path, folder = arguments
            own = folder not in (None, -1) or os.fsdecode(path).startswith(_TEMPORARY)
        if not own:
            ran.append(f"{event} {arguments!r:.200}")


@contextlib.contextmanager
def _watched(ran: list[str], starts_processes: bool) -> Iterator[None]:
    _watching.append((ran, starts_processes))
    try:
        yield
    finally:
        _watching.pop()


def _reset_peak() -> int:
    """Begins to measure the peak of memory anew, where that can be (Linux); returns what is."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS") or _peak()


def _peak() -> int:
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:
        return 0  # Windows
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int | None:
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(name.encode()):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _limit_memory(on: bool) -> None:
    """What takes all memory ends this process, not the machine's others. Not on macOS, Windows."""
    size = _status("VmSize")
    if size is not None:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM if on else most, most))


def serve(connection: Connection, number: Any, folder: str) -> None:
    """Reads inputs until the connection is closed.

    Args:
        connection: Gives `(name of the target, seed, first input, number of inputs, seconds)`;
            takes `(number, content, outcome)` of each fault, and at last a summary.
        number: A shared integer: the input that is being read; negative before the first.
        folder: For the files.
    """
    sys.addaudithook(_audit)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # what libraries say about damage
    readers: dict[str, Reader] = {}
    while True:
        try:
            name, seed, first, last, seconds = connection.recv()
        except EOFError:
            return
        end = time.monotonic() + seconds
        number.value = -1
        if name not in readers:
            (target,) = (x for x in TARGETS if x.name == name)
            place = Path(folder) / name.replace(" ", "_")
            place.mkdir(exist_ok=True)
            _limit_memory(False)
            try:
                readers[name] = Reader(target, place)
                readers[name].try_undamaged()
            except BaseException:
                connection.send(("failed", 0, traceback.format_exc(), None))
                raise
            _limit_memory(True)
        reader = readers[name]
        read = slowest = largest = refused = 0
        for i in range(first, last):
            if time.monotonic() > end and i >= first + _FEWEST:
                break
            number.value = i
            content = reader.input(seed, i)
            outcome = reader(content)
            read += 1
            refused += outcome.refused
            slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.memory)
            if outcome.fault:
                connection.send(("fault", i, content, outcome))
            if read % 50 == 0:
                connection.send(("progress", i, (read, refused, slowest, largest), None))
                read = refused = 0
        connection.send(("done", last, (read, refused, slowest, largest), None))

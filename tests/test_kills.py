"""Commands that are killed while they write: nothing is lost, mixed, or left behind after the next.

`KERAS_FASTVIT_KILLS=27` kills each command 27 times; by default it is twice. Trainings are killed
in `tests/training/test_kill.py`.

The commands run in forks of one process, which has imported what they need: a start each would take
more time than all the rest.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import keras
import pytest
from keras import layers

import keras_fastvit
from keras_fastvit.atomic_file import SCRATCH, sweep
from keras_fastvit.weights.named import NAMED_WEIGHTS
from tests.hub_server import HubServer
from tests.models import randomize, tiny
from tests.reference import fixtures

pytestmark = [
    pytest.mark.single_backend,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks"),
]

KILLS = int(os.environ.get("KERAS_FASTVIT_KILLS", "2"))

# Reads lines of which each is a command: the number of the event that it is killed at, a tab, and
# its words. Answers each with its exit status and the number of the events that it came to.
FORKS = """
import os, signal, sys
import keras, numpy, tensorflow
import tests.models
import keras_fastvit.conversion.exporting.export, keras_fastvit.weights.porting
from keras_fastvit.conversion.__main__ import main

WATCHED = os.environ["WATCHED"]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}
killed_at = events = 0

def count(event, arguments):
    global events
    if not killed_at:
        return
    opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (opened or event in CHANGES) and str(arguments[0]).startswith(WATCHED):
        events += 1
        if events == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
print("ready", flush=True)
for line in sys.stdin:
    at, *words = line.rstrip("\\n").split("\\t")
    reading, writing = os.pipe()
    if not (child := os.fork()):
        killed_at = int(at)
        sys.stdout = open(os.devnull, "w")
        status = main(words)
        os.write(writing, str(events).encode())
        os._exit(status)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    events_of_child = os.read(reading, 99).decode() or "0"
    os.close(reading)
    print(os.waitstatus_to_exitcode(status), events_of_child, flush=True)
"""
NEVER = 10**9


class Forks:
    """Runs commands, and kills them before the nth change that they make to watched files."""

    def __init__(self, watched: Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            cwd=Path(__file__).resolve().parents[1],
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                "WATCHED": str(watched),
                "TMPDIR": str(watched / "temporary"),
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._pipe("stdout").readline() == "ready\n"

    def _pipe(self, name: str) -> IO[str]:
        pipe: IO[str] = getattr(self._process, name)
        return pipe

    def run(self, words: list[str], killed_at: int = NEVER) -> int:
        """Runs a command; returns how many changes it has made, or 0 if it was killed."""
        self._pipe("stdin").write("\t".join([str(killed_at), *words]) + "\n")
        self._pipe("stdin").flush()
        status, events = map(int, self._pipe("stdout").readline().split())
        assert status == (-signal.SIGKILL if killed_at != NEVER else 0)
        return events

    def close(self) -> None:
        self._pipe("stdin").close()
        self._pipe("stdout").close()
        assert self._process.wait(60) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


def moments(events: int) -> Iterator[int]:
    """Places spread over all changes; with few kills, among the last ones, where files move."""
    drawn = random.Random(0)
    for kill in range(KILLS):
        first = 1 if kill % 2 else 2 * events // 3
        yield drawn.randint(first, events)


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    for name in ("output", "temporary"):
        (tmp_path / "watched" / name).mkdir(parents=True)
    return tmp_path / "watched"


def check_replacing(watched: Path, old: list[str], new: list[str]) -> None:
    """Kills the command `new` in a folder where `old` has been; both write the same files."""
    folder = watched / "output"
    forks = Forks(watched)
    events = forks.run(new)
    after = contents(folder)
    forks.run(old)
    before = contents(folder)
    assert before.keys() == after.keys()
    assert before != after
    seen = []
    for moment in moments(events):
        forks.run(new, killed_at=moment)
        sweep(folder)  # as whoever writes next begins
        found = contents(folder)
        assert found in (before, after)
        seen.append(found == after)
        for name, content in before.items():
            (folder / name).write_bytes(content)
    forks.run(new)
    assert contents(folder) == after
    assert not list((watched / "temporary").glob(f"{SCRATCH}*"))
    forks.close()
    if KILLS > 20:
        assert {*seen} == {True, False}


def test_export(tmp_path: Path, watched: Path) -> None:
    image = keras_fastvit.FastViTT8(weights=None, input_shape=(32, 32, 3), include_top=False)
    x = layers.GlobalAveragePooling2D()(image.get_layer("stem_0").output)
    keras.Model(image.input, layers.Dense(3)(x)).save(tmp_path / "model.keras")
    words = []
    for name in ("old", "new"):
        labels = tmp_path / f"{name}.txt"
        labels.write_text(f"{name}\nred\ngreen\n")
        output = watched / "output" / "model.tflite"
        words.append(
            [
                *("export", "--model", str(tmp_path / "model.keras"), "--labels", str(labels)),
                *("--output", str(output)),
            ]
        )
    check_replacing(watched, *words)


def test_port(tmp_path: Path, watched: Path) -> None:
    words = []
    for seed, name in enumerate(("old", "new")):
        randomize(tiny(), seed).save(path := tmp_path / f"{name}.keras")
        output = watched / "output" / "W.safetensors"
        words.append(
            [
                *("port", str(path), "--model", "fastvit_tiny", "--classes", "5"),
                *("--to", "timm", "--output", str(output)),
            ]
        )
    check_replacing(watched, *words)


def test_hub_download(tmp_path: Path, watched: Path) -> None:
    from safetensors.numpy import save

    (row,) = (x for x in NAMED_WEIGHTS if (x.name, x.variant) == ("imagenet", "fastvit_t8"))
    content = save(fixtures.load("timm", "fastvit_t8").weights())
    cache = watched / "output"
    output = tmp_path / "W.safetensors"
    words = ["port", "imagenet", "--model", "fastvit_t8", "--output", str(output), "--to", "timm"]
    with HubServer() as hub:
        hub.add(row.repository, row.file, content)
        forks = Forks(watched, HF_ENDPOINT=hub.endpoint, HF_HOME=str(cache))
        events = forks.run(words)
        after, ported = contents(cache), output.read_bytes()
        assert content in after.values()
        for moment in moments(events):
            shutil.rmtree(cache)
            forks.run(words, killed_at=moment)
            assert output.read_bytes() == ported
            forks.run(words)
            assert contents(cache) == after
        forks.close()

"""Reads and writes what the PyTorch implementations answered.

A test reads in three lines:

    reference = load("timm", "fastvit_t8")
    model = port(reference.weights())
    for case in reference.cases:
        expected = case.expected["logits"]
        assert expected.compare(model.predict(case.image)) <= 1e-5 * expected.scale

Each fixture is a pair of files in `tests/fixtures`: `{source}_{variant}.json` with names, shapes
and figures, `{source}_{variant}.npz` with the expected values. The weights and images are not
stored: `weights_from_names` makes them. The sources are

- `timm`: timm's model in training form, with timm's names,
- `apple`: Apple's model in training form, with Apple's names,
- `apple_reparam`: Apple's model in inference form, with the names of its `_reparam` checkpoints,
- `apple_clip`: timm's model, the image tower in a checkpoint of the whole MobileCLIP, with the
  names that Apple released it under and timm renames.

Each case has the outputs `logits` (before softmax), `features` (after the head's convolution,
SE and GELU: timm's `forward_features`) and `P2` to `P5` or `P6` (the stages), computed in float64.
Maps are `(batch, height, width, channels)`.
"""

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.weights_from_names import generate, generate_image

FOLDER = Path(__file__).resolve().parent.parent / "fixtures"
CLASSIFIERS = (
    "fastvit_t8",
    "fastvit_t12",
    "fastvit_s12",
    "fastvit_sa12",
    "fastvit_sa24",
    "fastvit_sa36",
    "fastvit_ma36",
)
FOUR_STAGE_TOWERS = ("fastvit_mci0", "fastvit_mci1", "fastvit_mci2")
VARIANTS = (*CLASSIFIERS, *FOUR_STAGE_TOWERS, "fastvit_mci3", "fastvit_mci4")
VARIANTS_OF = {
    "timm": VARIANTS,
    "apple": CLASSIFIERS,
    "apple_reparam": CLASSIFIERS,
    "apple_clip": FOUR_STAGE_TOWERS,
}
"""By source."""
SAMPLE_SIZE = 2048


@dataclass(frozen=True)
class Sample:
    """An expected output: all of it where it is small or the logits, else a sample of its values.

    Attributes:
        shape: Of the whole output.
        values: float32, the values at `sample_indices(shape)`.
        mean: Of the whole output, as are the next two.
        std: Standard deviation.
        scale: Largest magnitude, to which a tolerance relates.
    """

    shape: tuple[int, ...]
    values: np.ndarray
    mean: float
    std: float
    scale: float

    @classmethod
    def of(cls, output: np.ndarray) -> "Sample":
        """Takes the sample of a whole output, `(batch, [height, width,] channels)`."""
        return cls(
            shape=output.shape,
            values=output.reshape(-1)[sample_indices(output.shape)].astype(np.float32),
            mean=float(output.mean()),
            std=float(output.std()),
            scale=float(np.abs(output).max()),
        )

    def compare(self, actual: Any) -> float:
        """Returns the largest absolute difference from the expected output.

        Differences of the mean and of the standard deviation over the whole output count too.
        NaN in `actual` gives NaN, which is below no tolerance.

        Args:
            actual: Array-like of the shape of the expected output, channels last.

        Raises:
            ValueError: if the shape is another.
        """
        actual = np.asarray(actual, dtype=np.float64)
        if actual.shape != self.shape:
            raise ValueError(f"Expected an output of shape {self.shape}. Received: {actual.shape}")
        sampled = actual.reshape(-1)[sample_indices(self.shape)]
        differences = np.append(sampled - self.values, [actual.mean() - self.mean])
        return float(np.abs(np.append(differences, [actual.std() - self.std])).max())


@dataclass(frozen=True)
class Case:
    """One input and what the reference answered.

    Attributes:
        name: Such as `97x75`, height by width.
        seed: Of the image.
        shape: `(batch, height, width)` of the image.
        expected: `logits`, `features`, `P2`, `P3`, `P4`, `P5`, with five stages `P6`.
    """

    name: str
    seed: int
    shape: tuple[int, int, int]
    expected: dict[str, Sample]

    @property
    def image(self) -> np.ndarray:
        """float32 `(batch, height, width, 3)` in [-2, 2), for the model as it is."""
        return generate_image(self.seed, self.shape)


@dataclass(frozen=True)
class Reference:
    """All that is known of one variant of one source.

    Attributes:
        shapes: Name to shape (PyTorch's layout) of the `state_dict`, in its order, without
            `num_batches_tracked`.
        facts: Versions, parameter counts and what else the generator script has measured.
        weights_crc32: Checksum of the weights the outputs were computed with.
        cases: Inputs and outputs.
    """

    shapes: dict[str, tuple[int, ...]]
    facts: dict[str, Any]
    weights_crc32: int
    cases: tuple[Case, ...]

    def weights(self) -> dict[str, np.ndarray]:
        """Makes the float32 weights the expected outputs belong to.

        Raises:
            ValueError: if `weights_from_names` has changed since the fixture was made.
        """
        weights = generate(self.shapes)
        if checksum(weights) != self.weights_crc32:
            raise ValueError(
                "Expected the weights this fixture was made with; weights_from_names has changed "
                f"since: make the fixtures anew. Received: checksum {checksum(weights)}, "
                f"not {self.weights_crc32}"
            )
        return weights

    def case(self, name: str) -> Case:
        """Returns the case of that name."""
        return {case.name: case for case in self.cases}[name]


def load(source: str, variant: str) -> Reference:
    """Reads the fixture of a source and a variant of `VARIANTS_OF`."""
    stem = f"{source}_{variant}"
    record = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    with np.load(FOLDER / f"{stem}.npz", allow_pickle=False) as arrays:
        cases = tuple(
            Case(
                name=name,
                seed=entry["seed"],
                shape=_shape(entry["shape"]),  # type: ignore[arg-type]
                expected={
                    output: Sample(
                        shape=_shape(figures["shape"]),
                        values=arrays[f"{name}/{output}"],
                        mean=figures["mean"],
                        std=figures["std"],
                        scale=figures["scale"],
                    )
                    for output, figures in entry["expected"].items()
                },
            )
            for name, entry in record["cases"].items()
        )
    return Reference(
        shapes={name: _shape(text) for name, text in record["shapes"].items()},
        facts=record["facts"],
        weights_crc32=record["weights_crc32"],
        cases=cases,
    )


def save(source: str, variant: str, reference: Reference) -> None:
    """Writes the two files that `load` reads."""
    record = {
        "facts": reference.facts,
        "weights_crc32": reference.weights_crc32,
        "cases": {
            case.name: {
                "seed": case.seed,
                "shape": _text(case.shape),
                "expected": {
                    output: {
                        "shape": _text(sample.shape),
                        "mean": sample.mean,
                        "std": sample.std,
                        "scale": sample.scale,
                    }
                    for output, sample in case.expected.items()
                },
            }
            for case in reference.cases
        },
        "shapes": {name: _text(shape) for name, shape in reference.shapes.items()},
    }
    stem = f"{source}_{variant}"
    unfinished = FOLDER / f"{stem}.unfinished"
    unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, FOLDER / f"{stem}.json")
    values: dict[str, Any] = {
        f"{case.name}/{output}": sample.values
        for case in reference.cases
        for output, sample in case.expected.items()
    }
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **values)
    os.replace(unfinished, FOLDER / f"{stem}.npz")


def sample_indices(shape: tuple[int, ...]) -> np.ndarray:
    """Returns which values of an output a fixture stores, as indices into the flattened output.

    All of them for logits (rank 2) and small maps. Of a larger map `SAMPLE_SIZE` values: every
    channel and, where there are no more than `SAMPLE_SIZE`, every position occurs.
    """
    size, channels = int(np.prod(shape)), shape[-1]
    if len(shape) == 2 or size <= SAMPLE_SIZE:
        return np.arange(size)
    positions = size // channels
    chosen = np.random.RandomState(0).permutation(max(positions, SAMPLE_SIZE))[:SAMPLE_SIZE]
    return chosen % positions * channels + np.arange(SAMPLE_SIZE) % channels


def checksum(weights: dict[str, np.ndarray]) -> int:
    """Returns the CRC-32 of the arrays' little-endian bytes, in the order of the dictionary."""
    crc = 0
    for array in weights.values():
        crc = zlib.crc32(array.astype("<f4", copy=False).tobytes(), crc)
    return crc


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))

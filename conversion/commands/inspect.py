"""Tells what is in a `.tflite` file: operators and who runs them, work, sizes, quantisation.

    keras-fastvit inspect M.tflite

prints which operators the file has, how many of them the CPU delegate takes and in how many
partitions (one is best), their multiply-accumulates, the bytes of the weights by dtype, how input,
output and tensors are quantised, and what the metadata and the sidecar beside the file say. The
same as `python -m keras_fastvit.conversion.commands.inspect`; `--json` prints it for programs.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import delegation
from keras_fastvit.conversion.tflite.runtime import check
from keras_fastvit.conversion.tflite.schema import Graph, Tensor, read_graph


@dataclass(frozen=True)
class OperatorKind:
    """All operators of one name.

    Attributes:
        name: The schema's.
        count: How many the file has.
        delegated: How many of them the XNNPACK delegate runs.
        macs: Their multiply-accumulates for one image.
    """

    name: str
    count: int
    delegated: int
    macs: int


@dataclass(frozen=True)
class Port:
    """An input or output of the file.

    Attributes:
        name: Of the tensor.
        shape: Its dimensions.
        dtype: The schema's name.
        scale: An integer `q` stands for `(q - zero_point) * scale`; None of a float.
        zero_point: The same.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    Attributes:
        path: The file.
        size: Of the file, in bytes.
        operators: By kind, most work first.
        partitions: How many pieces the XNNPACK delegate runs.
        macs: Multiply-accumulates for one image.
        weights: Bytes of constant values, by dtype; what tensors share counts once.
        activations: Number of computed tensors, by dtype.
        per_channel: Number of quantised weights with a scale for each channel.
        per_tensor: Number of quantised weights with one scale.
        inputs: The file's inputs.
        outputs: The file's outputs.
        metadata: Sizes in bytes of the metadata entries, by name.
        embedded: What `export` has written into the file; None if it is not from there.
        sidecar: What the JSON file beside it says; None where there is none.
    """

    path: Path
    size: int
    operators: tuple[OperatorKind, ...]
    partitions: int
    macs: int
    weights: dict[str, int]
    activations: dict[str, int]
    per_channel: int
    per_tensor: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, int]
    embedded: dict[str, Any] | None
    sidecar: dict[str, Any] | None


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Reads a `.tflite` file and loads it in LiteRT, to see what the delegate takes.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If LiteRT is not installed.
        ValueError: If the file is damaged or no `.tflite`, or if its sidecar is of another file.
    """
    path = Path(path)
    check(path)
    content = path.read_bytes()
    graph = read_graph(content)
    delegated = delegation(path)
    counts = Counter(operator.name for operator in graph.operators)
    macs: Counter[str] = Counter()
    for operator in graph.operators:
        macs[operator.name] += operator.macs
    constants = {tensor.buffer: tensor for tensor in graph.tensors if tensor.size}
    weights: Counter[str] = Counter()
    for tensor in constants.values():
        weights[tensor.dtype] += tensor.size
    # Biases have their scale from input and weight, as 32-bit integers.
    quantised = [len(t.scales) for t in constants.values() if t.scales and t.dtype != "INT32"]
    return Inspection(
        path=path,
        size=len(content),
        operators=tuple(
            OperatorKind(name, count, delegated.inside[name], macs[name])
            for name, count in sorted(
                counts.items(), key=lambda item: (-macs[item[0]], -item[1], item[0])
            )
        ),
        partitions=delegated.partitions,
        macs=macs.total(),
        weights=dict(weights.most_common()),
        activations=dict(
            Counter(tensor.dtype for tensor in graph.tensors if not tensor.size).most_common()
        ),
        per_channel=sum(scales > 1 for scales in quantised),
        per_tensor=sum(scales == 1 for scales in quantised),
        inputs=_ports(graph, graph.inputs),
        outputs=_ports(graph, graph.outputs),
        metadata=graph.metadata,
        embedded=sidecar.embedded(content),
        sidecar=sidecar.read(path),
    )


def _ports(graph: Graph, indices: tuple[int, ...]) -> tuple[Port, ...]:
    def port(tensor: Tensor) -> Port:
        (scale, *_), (zero_point, *_) = tensor.scales or (None,), tensor.zero_points or (None,)
        return Port(tensor.name, tensor.shape, tensor.dtype, scale, zero_point)

    return tuple(port(graph.tensors[i]) for i in indices)


def operators_table(found: Inspection) -> Table:
    """The table of the operators."""
    table = Table(title=f"{found.path}: {found.size:,} bytes")
    table.add_column("operator")
    for heading in ("count", "in the delegate", "million MACs"):
        table.add_column(heading, justify="right")
    for kind in found.operators:
        macs = f"{kind.macs / 1e6:,.2f}" if kind.macs else ""
        table.add_row(kind.name, str(kind.count), str(kind.delegated), macs)
    table.add_section()
    count, delegated = (
        sum(getattr(kind, name) for kind in found.operators) for name in ("count", "delegated")
    )
    table.add_row("all", str(count), str(delegated), f"{found.macs / 1e6:,.2f}")
    table.caption = f"XNNPACK's partitions: {found.partitions}"
    return table


def facts_table(found: Inspection) -> Table:
    """The table of everything else."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, ports in (("input", found.inputs), ("output", found.outputs)):
        for port in ports:
            text = f"{port.name} {port.shape} {port.dtype}"
            if port.scale is not None:
                text += f", scale {port.scale:.6g}, zero point {port.zero_point}"
            table.add_row(name, text)
    table.add_row("constants", _listed(found.weights, " bytes"))
    table.add_row("computed tensors", _listed(found.activations))
    table.add_row(
        "quantised weights", f"{found.per_channel} per channel, {found.per_tensor} per tensor"
    )
    table.add_row("metadata", _listed(found.metadata, " bytes") or "none")
    for name, content in (("embedded", found.embedded), ("sidecar", found.sidecar)):
        table.add_section()
        if content is None:
            table.add_row(name, "none")
        elif content is found.embedded and content.items() <= (found.sidecar or {}).items():
            table.add_row(name, "as in the sidecar")
        else:
            table.add_row(name)
            for key, value in content.items():
                table.add_row(f"  {key}", _shortened(value))
    return table


def _listed(numbers: dict[str, int], unit: str = "") -> str:
    return ", ".join(f"{name} {number:,}{unit}" for name, number in numbers.items())


def _shortened(value: Any) -> str:
    if isinstance(value, list) and len(value) > 10:
        return f"{len(value)}: {', '.join(map(str, value[:3]))}, …, {value[-1]}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Tells what is in a .tflite file.")
    parser.add_argument("file", type=Path, metavar="M.tflite")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    args = parser.parse_args(argv)
    try:
        found = inspect(args.file)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if args.json:
        print(json.dumps(asdict(found), indent=2, default=str))
    else:
        Console(markup=False).print(operators_table(found), facts_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

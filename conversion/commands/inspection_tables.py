"""Tables of what is in a `.tflite` file."""

import json
from typing import Any

from rich.table import Table

from keras_fastvit.conversion.tflite.inspection import Inspection


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

"""Writes `docs/robustness.json`, and from it the table in `docs/robustness.md`."""

import json
import re
from typing import Any

from keras_fastvit.atomic_file import written_beside
from tests.fuzzing.targets import ROOT, TARGETS

_JSON, _TEXT = ROOT / "docs" / "robustness.json", ROOT / "docs" / "robustness.md"
_TABLE = re.compile(r"(?<=<!-- make fuzz -->\n)(.*?)(?=<!-- end of make fuzz -->)", re.DOTALL)


def write_report(results: dict[str, dict[str, Any]], seed: int) -> None:
    """Replaces the rows of the readers that were tried, and keeps the others'.

    Args:
        results: By reader, the fields of a `Result`.
        seed: Of the damage.
    """
    content = json.loads(_JSON.read_text(encoding="utf-8")) if _JSON.exists() else {}
    for name, result in results.items():
        content[name] = {**result, "seconds": round(result["seconds"], 2), "seed": seed}
    content = {target.name: content[target.name] for target in TARGETS if target.name in content}
    table = to_markdown(content)
    text = _TABLE.sub(lambda _: table, _TEXT.read_text(encoding="utf-8"))
    for path, new in ((_JSON, json.dumps(content, indent=1) + "\n"), (_TEXT, text)):
        with written_beside(path) as unfinished:
            unfinished.write_text(new, encoding="utf-8")


def to_markdown(content: dict[str, dict[str, Any]]) -> str:
    """The table: a row for each reader, and their sum."""
    lines = [
        "| reader | inputs | read | refused | faults | slowest, s | most memory, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    total = [0, 0, 0, 0]
    for name, row in content.items():
        faults = sum(row["faults"].values())
        counts = [row["inputs"], row["inputs"] - row["refused"] - faults, row["refused"], faults]
        total = [x + y for x, y in zip(total, counts, strict=True)]
        numbers = " | ".join(f"{count:,}" for count in counts)
        lines.append(f"| {name} | {numbers} | {row['seconds']:.1f} | {row['memory'] >> 20:,} |")
    lines.append(f"| **all** | {' | '.join(f'**{count:,}**' for count in total)} | | |")
    return "\n".join(lines) + "\n"

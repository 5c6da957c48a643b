"""docs/consumers.md between its markers: the table of bench/consumers.py."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consumer_table import CONSUMERS, Consumer

BEGIN, END = "<!-- consumers: begin -->", "<!-- consumers: end -->"
CLOSE = 1e-5
"""Probabilities that differ by less are called equal: what float32 in another order of operations leaves."""
LONGEST = 160
"""Characters of a reason."""

Cell = Mapping[str, Any]


def write_page(page: Path, results: Path, columns: Sequence[str], circumstances: str) -> None:
    """Put the table of all saved results between the page's markers."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    saved = {consumer: cells_of(consumer, results) for consumer in CONSUMERS}
    text = table({consumer: cells for consumer, cells in saved.items() if cells}, columns, circumstances)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def cells_of(consumer: Consumer, results: Path) -> dict[str, Cell]:
    """A consumer's saved cells by the file's name; none where it was not asked yet."""
    saved = results / f"{consumer.name}.json"
    return dict(json.loads(saved.read_text())["cells"]) if saved.exists() else {}


def table(results: Mapping[Consumer, Mapping[str, Cell]], columns: Sequence[str], circumstances: str) -> str:
    """The table, how many consumers answer alike, and the reasons for the cells without a number."""
    close = sum(cells.get(columns[0], {}).get("difference", 1) < CLOSE for cells in results.values())
    head = ("consumer", "package", *columns, "batch size")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [row(consumer, cells, columns) for consumer, cells in results.items()]
    reasons = [
        f"- {consumer.name}, {column}: {reason(cells[column])}"
        for consumer, cells in results.items()
        for column in columns
        if column in cells and reason(cells[column])
    ]
    notes = [f"- {consumer.name}: {consumer.note}" for consumer in results if consumer.note]
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    alike = f"{close} of {len(results)} answer for the {columns[0]} file within {CLOSE:.0e}".replace("e-0", "e-")
    summary = f"{alike} ({circumstances}; {when})."
    parts = [summary, "\n".join(lines)]
    parts += ["What the consumers say of the files that they refuse:\n\n" + "\n".join(reasons)] if reasons else []
    parts += ["Notes:\n\n" + "\n".join(notes)] if notes else []
    return "\n\n".join(parts)


def row(consumer: Consumer, cells: Mapping[str, Cell], columns: Sequence[str]) -> str:
    """A consumer's line."""
    batches = {cell["batch"] for cell in cells.values() if "batch" in cell}
    batch = {"any": "any", "fixed": "one per session"}[min(batches)] if batches else "-"
    batch = "1" if batches and consumer.single else batch
    packages = ", ".join(consumer.packages[: consumer.shown])
    return f"| {' | '.join([consumer.name, packages, *(text(cells.get(name)) for name in columns), batch])} |"


def text(cell: Cell | None) -> str:
    """A cell: the difference and the labels that differ, or that it has no answer."""
    if cell is None:
        return "-"
    if "difference" not in cell:
        return "skipped" if "skipped" in cell else "refused"
    labels = cell["labels"]
    flips = f", {labels} label{'s' if labels > 1 else ''}" if labels else ""
    return ("0" if cell["difference"] == 0 else f"{cell['difference']:.0e}".replace("e-0", "e-")) + flips


def reason(cell: Cell) -> str:
    """Why a cell has no number, in one line, shortened; "" where it has one."""
    words = " ".join(str(cell.get("refused", cell.get("skipped", ""))).replace("|", "/").replace("`", "'").split())
    shortened = words if len(words) <= LONGEST else f"{words[:LONGEST].rstrip()}..."
    return f"`{shortened}`" if shortened else ""

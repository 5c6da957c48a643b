"""The tables of docs/performance.md from the results of bench/gpu_day.py, and each figure's target."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_setting import Row

from infer.core.files import write_text

BEGIN, END = "<!-- gpu_day: begin -->", "<!-- gpu_day: end -->"
HEADER = ("step", "started", "dry_run", "machine", "versions", "n")
"""What every line has and no column shows."""
TITLES = {
    "resnet18": "The network alone, fp16, pixels and results on the GPU",
    "training-256": "Training, images/s",
    "validation": "Validation, images/s",
    "predict-gpu": "`lab predict`, images/s",
    "sizes": "`--decode gpu`, files of one size and of many",
    "load-hints": "`--decode gpu`, by the share that is hinted for the GPU's JPEG engine",
    "decoders": "`--decode gpu` beside the CPU's decoder, by chroma subsampling",
    "graphs": "CUDA graphs, images/s from pixels in host memory",
    "gate": "The gate",
    "opsets": "Opsets",
    "path": "The whole path",
    "memory": "Exhausted memory",
    "tests": "Tests that need a GPU",
}
"""By the first step whose rows a table shows."""
SAME_TABLE = {
    **dict.fromkeys(("resnet50", "resnet152"), "resnet18"),
    **dict.fromkeys(("training-64", "training-32"), "training-256"),
    "predict-cpu": "predict-gpu",
}


@dataclass(frozen=True)
class Target:
    """What a figure is to reach."""

    name: str
    least: float
    figure: Callable[[Sequence[Row]], float | None]
    """The figure in the results; None where it was not measured."""


def smallest(column: str) -> Callable[[Sequence[Row]], float | None]:
    """The smallest value in a column."""
    return lambda rows: min((row[column] for row in rows if column in row), default=None)


def largest(column: str, **values: str) -> Callable[[Sequence[Row]], float | None]:
    """The largest value in a column, of rows with these values; `_` in a name stands for a blank."""
    wanted = {name.replace("_", " "): value for name, value in values.items()}
    return lambda rows: max(
        (row[column] for row in rows if column in row and wanted.items() <= row.items()), default=None
    )


TARGETS = (
    Target("`lab predict`, share of the lower ceiling, the worst row", 0.9, smallest("lab / bound")),
    Target(
        "ResNet-50 from JPEG files with `--decode gpu`, images/s", 12_000,
        largest("lab", network="resnet50", decoded_on="gpu"),
    ),
    Target("a warm epoch, share of the bare step, the worst row", 0.95, smallest("warm / bare")),
    Target("ResNet-18 in training, images/s", 15_000, largest("lab, warm", network="resnet18")),
)  # fmt: skip


def render(results: Path, page: Path) -> str:
    """Write the tables between the page's markers; returns a line for the user.

    Exits with a message, and leaves the page as it is, where the results are of a dry run, of several machines or
    versions, or hold no figure.
    """
    rows = latest(read(results))
    measured = [row for row in rows if "status" not in row]
    if any(row.get("dry_run") is not False for row in rows):
        sys.exit(f"{results} is of a dry run on a CPU: it holds no figures of a GPU")
    if not measured:
        sys.exit(f"{results} holds no figures")
    origins = {json.dumps([row["machine"], row["versions"]]) for row in rows}
    if len(origins) > 1:
        sys.exit(f"{results} is of several machines or versions; render those of one: {'; '.join(sorted(origins))}")
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page} lacks the lines {BEGIN} and {END}")
    write_text(page, f"{before}{BEGIN}\n\n{text(rows)}\n{END}{after}")
    met = [target for target in TARGETS if (figure := target.figure(measured)) is not None and figure >= target.least]
    return f"wrote {len(measured)} rows to {page}; {len(met)} of {len(TARGETS)} targets are met"


def read(results: Path) -> list[Row]:
    """The lines of a results file; one that was cut off is left out."""
    rows: list[Row] = []
    for line in results.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def latest(rows: Sequence[Row]) -> list[Row]:
    """The rows of each step's latest attempt that measured anything, and of how it ended."""
    newest: dict[str, str] = {}
    for row in rows:
        if "status" not in row or row["step"] not in newest:
            newest[row["step"]] = row["started"]
    return [row for row in rows if row["started"] == newest[row["step"]]]


def text(rows: Sequence[Row]) -> str:
    """All tables, as Markdown."""
    measured = [row for row in rows if "status" not in row]
    first = measured[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items() if version != "?")
    parts = [
        f"Measured by `python bench/gpu_day.py` on {first['started'][:10]}: {first['machine']}; {versions}.",
        target_table(measured),
    ]
    for step, title in TITLES.items():
        own = [row for row in measured if SAME_TABLE.get(row["step"], row["step"]) == step]
        if own:
            parts.append(f"{title} ({counts(own)}):\n\n{table(own)}")
    failed = [row for row in rows if row.get("status", "finished") != "finished"]
    if failed:
        lines = [f"- {row['step']}: {row['status']} ({row['reason']})" for row in failed]
        parts.append("Not measured in full:\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def counts(rows: Sequence[Row]) -> str:
    """The numbers of measurements behind the rows' figures."""
    return f"n = {', '.join(str(n) for n in sorted({row['n'] for row in rows}))}"


def target_table(rows: Sequence[Row]) -> str:
    """Each target, the figure, and whether it is met."""
    lines = ["| target | at least | measured | |", "|---|---|---|---|"]
    for target in TARGETS:
        figure = target.figure(rows)
        met = "" if figure is None else "met" if figure >= target.least else "missed"
        least, shown = (cell("share /" if target.least < 1 else "", value) for value in (target.least, figure))
        lines.append(f"| {target.name} | {least} | {shown if figure is not None else 'not measured'} | {met} |")
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    """Rows as a table with all of their columns; those that are empty throughout are left out."""
    named = dict.fromkeys(name for row in rows for name in row if name not in HEADER)
    names = [name for name in named if any(row.get(name) not in ("", None) for row in rows)]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell(name, row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def cell(column: str, value: object) -> str:
    """A value for people; a column with ` /` in its title is a share."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1%}" if " /" in column else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")

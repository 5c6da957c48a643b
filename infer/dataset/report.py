"""The findings of `lab data check` as JSON, and as tables and lines for the terminal."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.errors import DataError
from infer.core.text import listed, shown
from infer.dataset.colour_baseline import ColourBaseline
from infer.dataset.config import EXCLUDE, PAGE
from infer.dataset.findings import NEAR, PROBLEMS, UNREADABLE, Findings, Match, exclusions
from infer.dataset.near_duplicates import MOST_PAIRS
from infer.dataset.table import UNKNOWN

LISTED = 10
"""Rows shown of a table on the terminal; the report has all of them."""


def json_text(findings: Findings) -> str:
    """Return the findings as JSON; docs/data.md explains the keys. Bytes that are not UTF-8 become lone surrogates."""
    data = {
        "data": str(findings.table.source),
        "layout": findings.table.layout,
        "notes": list(findings.table.notes),
        "leakage": findings.leaky,
        "images": len(findings.table),
        "counts": counts(findings),
        "patients": patients(findings),
        "kinds": kinds(findings),
        "sizes": sizes(findings),
        "problems": [
            {
                "path": findings.table.paths[item.row],
                "part": findings.parts[item.row],
                "kind": item.kind,
                "found": item.detail,
            }
            for item in findings.problems
        ],
        "matches": [_match(item, findings) for item in findings.matches],
        "all_near_matches_found": findings.complete,
        "closest": [_match(item, findings) for item in findings.closest],
        "patients_in_several_parts": findings.crossing_groups,
        "colours": _colours(findings.colours),
        "exclude": [{"path": item.path, "split": item.split, "reason": item.reason} for item in exclusions(findings)],
    }
    return json.dumps(data, indent=2) + "\n"


def counts(findings: Findings) -> dict[str, dict[str, int]]:
    """Count images by part and label; "" for images without a label."""
    by_part = {part: Counter[str]() for part in findings.names_of_parts()}
    for row, part in enumerate(findings.parts):
        by_part[part][label_of(row, findings)] += 1
    return {part: dict(count) for part, count in by_part.items()}


def patients(findings: Findings) -> dict[str, int]:
    """Count patients by part, and in total under `all`; {} where no patient is known."""
    groups: dict[str, set[str]] = {part: set() for part in [*findings.names_of_parts(), "all"]}
    for part, group in zip(findings.parts, findings.table.groups, strict=True):
        if group:
            groups[part].add(group)
            groups["all"].add(group)
    return {part: len(names) for part, names in groups.items()} if groups["all"] else {}


def kinds(findings: Findings) -> dict[str, dict[str, int]]:
    """Count images by file format with mode, and label; a format that only one class has gives the class away."""
    by_kind: dict[str, Counter[str]] = {}
    for row, kind in enumerate(findings.facts["kind"].tolist()):
        if kind:
            by_kind.setdefault(kind, Counter())[label_of(row, findings)] += 1
    return {kind: dict(count) for kind, count in sorted(by_kind.items())}


def sizes(findings: Findings) -> dict[str, list[int]]:
    """Return the smallest, median and largest width and height, in pixels; {} where no image can be read."""
    readable = findings.facts[findings.facts["height"] > 0]
    names = ("width", "height") if len(readable) else ()
    return {name: [int(statistic(readable[name])) for statistic in (np.min, np.median, np.max)] for name in names}


def _match(match: Match, findings: Findings) -> dict[str, Any]:
    return {
        "kind": match.kind,
        "likeness": round(match.likeness, 5),
        "crosses": match.crosses,
        "contradicts": match.contradicts,
        "images": [
            {"path": findings.table.paths[row], "part": findings.parts[row], "label": label_of(row, findings)}
            for row in match.rows
        ],
    }


def label_of(row: int, findings: Findings) -> str:
    """Return the label of a row as text; "" where it has none."""
    label = int(findings.table.labels[row])
    return "" if label == UNKNOWN else findings.table.classes[label].label


def _colours(colours: ColourBaseline | str) -> dict[str, Any]:
    if isinstance(colours, str):
        return {"not_measured": colours}
    return {**{name: getattr(colours, name) for name in colours.__dataclass_fields__}, "suspicious": colours.suspicious}


def check_tables(findings: Findings) -> list[RichTable]:
    """Return the tables for the terminal: counts, then problems, matches and patients in several parts if any."""
    tables = [_count_table(findings)]
    tables += [_problem_table(findings)] if findings.problems else []
    tables += [_match_table(findings)] if findings.matches else []
    tables += [_group_table(findings)] if findings.crossing_groups else []
    return tables


def _count_table(findings: Findings) -> RichTable:
    table, by_part, part_names = RichTable(), counts(findings), findings.names_of_parts()
    table.add_column("class")
    for part in part_names:
        table.add_column(Text(part), justify="right")
    for item in findings.table.classes:
        table.add_row(Text(shown(str(item))), *(str(by_part[part].get(item.label, 0)) for part in part_names))
    if any("" in by_part[part] for part in part_names):
        table.add_row(Text("not labelled", "dim"), *(str(by_part[part].get("", 0)) for part in part_names))
    if patient_counts := patients(findings):
        name = Text(f"patients ({patient_counts['all']})", "dim")
        table.add_row(name, *(str(patient_counts[part]) for part in part_names))
    return table


def _problem_table(findings: Findings) -> RichTable:
    table = RichTable(title=_title("images to look at", len(findings.problems)), title_justify="left")
    for name in ("problem", "image", "found"):
        table.add_column(name, overflow="fold")
    for item in findings.problems[:LISTED]:
        table.add_row(item.kind, Text(shown(findings.table.paths[item.row])), Text(shown(item.detail)))
    return table


def _match_table(findings: Findings) -> RichTable:
    table = RichTable(title=_title("the same picture several times", len(findings.matches)), title_justify="left")
    for name in ("", "how", "images"):
        table.add_column(name, overflow="fold")
    for match in findings.matches[:LISTED]:
        marks = [*(["LEAK"] if match.crosses else []), *(["TWO LABELS"] if match.contradicts else [])]
        names = [f"{findings.table.paths[row]} ({part_and_label(row, findings)})" for row in match.rows]
        how = f"{match.kind} {match.likeness:.4f}" if match.kind == NEAR else match.kind
        table.add_row(Text("\n".join(marks), "bold red"), how, Text("\n".join(map(shown, _few(names)))))
    return table


def part_and_label(row: int, findings: Findings) -> str:
    """Describe in which part and with which label a row is listed."""
    label = label_of(row, findings)
    return f"{findings.parts[row]}, label {label}" if label else findings.parts[row]


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 4 else [*names[:3], f"and {len(names) - 3} more"]


def _group_table(findings: Findings) -> RichTable:
    title = _title("patients in several parts", len(findings.crossing_groups))
    table, part_names = RichTable(title=title, title_justify="left"), findings.names_of_parts()
    table.add_column("patient", overflow="fold")
    for part in part_names:
        table.add_column(Text(part), justify="right")
    for group, by_part in list(findings.crossing_groups.items())[:LISTED]:
        table.add_row(Text(shown(group)), *(str(by_part.get(part, 0)) for part in part_names))
    return table


def _title(subject: str, count: int) -> str:
    return f"{subject}: {count}" + (f", the first {LISTED} of them" if count > LISTED else "")


def summary_lines(findings: Findings) -> list[str]:
    """Summarise the findings, one line per subject."""
    lines = [_image_line(findings), _copies_line(findings)]
    if not findings.complete:
        lines.append(f"warning: more than {MOST_PAIRS} pairs are nearly the same; the search was stopped there")
    lines.append(_patient_line(findings))
    by_format = kinds(findings)
    if len(by_format) > 1:
        formats = "; ".join(f"{kind}: {sum(count.values())}" for kind, count in by_format.items())
        lines.append(f"file formats: {formats} (by class in the report: a format of one class gives the class away)")
    lines.append(colour_line(findings.colours))
    if count := len(exclusions(findings)):
        lines.append(f"better left out: {count} images, listed in {EXCLUDE}; use it with lab train --exclude")
    return lines


def _image_line(findings: Findings) -> str:
    by_kind = Counter(item.kind for item in findings.problems)
    summary = ", ".join(f"{by_kind[kind]} {kind}" for kind in PROBLEMS if by_kind[kind] or kind == UNREADABLE)
    return f"images: {len(findings.table)}; {summary}"


def _copies_line(findings: Findings) -> str:
    exact = sum(match.exact for match in findings.matches)
    contradictory = sum(match.contradicts for match in findings.matches)
    return (
        f"the same picture: {exact} groups of copies, {len(findings.matches) - exact} pairs nearly the same; "
        f"{len(findings.leaks)} of them across parts, {contradictory} with two labels"
    )


def _patient_line(findings: Findings) -> str:
    patient_counts = patients(findings)
    if not patient_counts:
        return "patients: not known, so leakage of patients between splits cannot be checked"
    crossing, names = len(findings.crossing_groups), listed(findings.names_of_parts())
    return f"patients: {patient_counts['all']}, {crossing or 'none'} in more than one of {names}"


def colour_line(colours: ColourBaseline | str) -> str:
    """Describe the colour baseline in one line, with a warning where it is suspicious."""
    if isinstance(colours, str):
        return f"colours alone: not measured: {colours}"
    low, high = colours.interval
    result = (
        f"colours alone: accuracy {colours.accuracy:.1%} (95%: {low:.1%} to {high:.1%}; majority-class baseline: "
        f"{colours.majority_share:.1%}), balanced {colours.balanced_accuracy:.1%} (chance: {colours.chance:.1%})"
    )
    if colours.suspicious:
        return f"warning: {result}: the task may be solvable by stain or camera; a network should do clearly better"
    return result


def require_no_leaks(findings: Findings, folder: Path) -> None:
    """Raise DataError where a picture or a patient is in more than one part."""
    if not findings.leaky:
        return
    remedies = [f"lab train --exclude {folder / EXCLUDE}"] if findings.leaks else []
    remedies += ["a split by patient with lab data split"] if findings.crossing_groups else []
    raise DataError(
        f"leakage: {findings.crossing()} in more than one of {listed(findings.names_of_parts())}; "
        f"see {folder / PAGE}, then {' and '.join(remedies)}"
    )

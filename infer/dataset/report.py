"""The findings of `lab data check` as JSON and as tables for the terminal."""

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
"""Rows of a table on the terminal; the report has them all."""


def json_text(found: Findings) -> str:
    """The findings as JSON; docs/data.md explains its keys. Bytes of a name that are no UTF-8 are lone surrogates."""
    data = {
        "data": str(found.table.root),
        "layout": found.table.layout,
        "leakage": found.leaky,
        "images": len(found.table),
        "counts": counts(found),
        "patients": patients(found),
        "kinds": kinds(found),
        "sizes": sizes(found),
        "problems": [
            {
                "path": found.table.paths[item.row],
                "part": found.parts[item.row],
                "kind": item.kind,
                "found": item.detail,
            }
            for item in found.problems
        ],
        "matches": [_match(item, found) for item in found.matches],
        "all_near_matches_found": found.complete,
        "closest": [_match(item, found) for item in found.closest],
        "patients_in_several_parts": found.crossing_groups,
        "colours": _colours(found.colours),
        "exclude": [{"path": item.path, "split": item.split, "reason": item.reason} for item in exclusions(found)],
    }
    return json.dumps(data, indent=2) + "\n"


def counts(found: Findings) -> dict[str, dict[str, int]]:
    """Images by part and class; those without a label under ""."""
    held = {part: Counter[str]() for part in found.names_of_parts()}
    for part, label in zip(found.parts, found.table.labels.tolist(), strict=True):
        held[part]["" if label == UNKNOWN else found.table.classes[label].label] += 1
    return {part: dict(count) for part, count in held.items()}


def patients(found: Findings) -> dict[str, int]:
    """How many patients each part holds, and all parts together, under `all`; {} where none is known."""
    held: dict[str, set[str]] = {part: set() for part in [*found.names_of_parts(), "all"]}
    for part, group in zip(found.parts, found.table.groups, strict=True):
        if group:
            held[part].add(group)
            held["all"].add(group)
    return {part: len(groups) for part, groups in held.items()} if held["all"] else {}


def kinds(found: Findings) -> dict[str, dict[str, int]]:
    """Images by file format with mode, and class; a format that only one class has tells the class."""
    held: dict[str, Counter[str]] = {}
    for kind, label in zip(found.facts["kind"].tolist(), found.table.labels.tolist(), strict=True):
        if kind:
            name = "" if label == UNKNOWN else found.table.classes[label].label
            held.setdefault(kind, Counter())[name] += 1
    return {kind: dict(count) for kind, count in sorted(held.items())}


def sizes(found: Findings) -> dict[str, list[int]]:
    """The smallest, median and largest width and height, in pixels; {} where no image can be read."""
    read = found.facts[found.facts["height"] > 0]
    names = ("width", "height") if len(read) else ()
    return {name: [int(fold(read[name])) for fold in (np.min, np.median, np.max)] for name in names}


def _match(match: Match, found: Findings) -> dict[str, Any]:
    return {
        "kind": match.kind,
        "likeness": round(match.likeness, 5),
        "crosses": match.crosses,
        "contradicts": match.contradicts,
        "images": [
            {"path": found.table.paths[row], "part": found.parts[row], "label": label_of(row, found)}
            for row in match.rows
        ],
    }


def label_of(row: int, found: Findings) -> str:
    """The label of a row as it is written; "" where it has none."""
    label = int(found.table.labels[row])
    return "" if label == UNKNOWN else found.table.classes[label].label


def _colours(colours: ColourBaseline | str) -> dict[str, Any]:
    if isinstance(colours, str):
        return {"not_measured": colours}
    return {**{name: getattr(colours, name) for name in colours.__dataclass_fields__}, "suspicious": colours.suspicious}


def check_tables(found: Findings) -> list[RichTable]:
    """The counts, what was found, and what colours tell, for the terminal."""
    some = [_problem_table(found)] if found.problems else []
    some += [_match_table(found)] if found.matches else []
    some += [_group_table(found)] if found.crossing_groups else []
    return [_count_table(found), *some]


def _count_table(found: Findings) -> RichTable:
    table, held, named = RichTable(), counts(found), found.names_of_parts()
    table.add_column("class")
    for part in named:
        table.add_column(Text(part), justify="right")
    for item in found.table.classes:
        table.add_row(Text(shown(str(item))), *(str(held[part].get(item.label, 0)) for part in named))
    if any("" in held[part] for part in named):
        table.add_row(Text("not labelled", "dim"), *(str(held[part].get("", 0)) for part in named))
    if known := patients(found):
        table.add_row(Text(f"patients ({known['all']})", "dim"), *(str(known[part]) for part in named))
    return table


def _problem_table(found: Findings) -> RichTable:
    table = RichTable(title=_title("images to look at", len(found.problems)), title_justify="left")
    for name in ("problem", "image", "found"):
        table.add_column(name, overflow="fold")
    for item in found.problems[:LISTED]:
        table.add_row(item.kind, Text(shown(found.table.paths[item.row])), Text(shown(item.detail)))
    return table


def _match_table(found: Findings) -> RichTable:
    table = RichTable(title=_title("the same picture several times", len(found.matches)), title_justify="left")
    for name in ("", "how", "images"):
        table.add_column(name, overflow="fold")
    for match in found.matches[:LISTED]:
        marks = [*(["LEAK"] if match.crosses else []), *(["TWO LABELS"] if match.contradicts else [])]
        names = [f"{found.table.paths[row]} ({part_and_label(row, found)})" for row in match.rows]
        how = f"{match.kind} {match.likeness:.4f}" if match.kind == NEAR else match.kind
        table.add_row(Text("\n".join(marks), "bold red"), how, Text("\n".join(map(shown, _few(names)))))
    return table


def part_and_label(row: int, found: Findings) -> str:
    """Where a row is listed and as what, for people."""
    label = label_of(row, found)
    return f"{found.parts[row]}, label {label}" if label else found.parts[row]


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 4 else [*names[:3], f"and {len(names) - 3} more"]


def _group_table(found: Findings) -> RichTable:
    title = _title("patients in several parts", len(found.crossing_groups))
    table, named = RichTable(title=title, title_justify="left"), found.names_of_parts()
    table.add_column("patient", overflow="fold")
    for part in named:
        table.add_column(Text(part), justify="right")
    for group, held in list(found.crossing_groups.items())[:LISTED]:
        table.add_row(Text(shown(group)), *(str(held.get(part, 0)) for part in named))
    return table


def _title(what: str, count: int) -> str:
    return f"{what}: {count}" + (f", of which the first {LISTED}" if count > LISTED else "")


def summary_lines(found: Findings) -> list[str]:
    """What was found, a line each, for people."""
    held = Counter(item.kind for item in found.problems)
    told = ", ".join(f"{held[kind]} {kind}" for kind in PROBLEMS if held[kind] or kind == UNREADABLE)
    lines = [f"images: {len(found.table)}; {told}"]
    exact, near = sum(match.exact for match in found.matches), sum(not match.exact for match in found.matches)
    torn = sum(match.contradicts for match in found.matches)
    lines.append(
        f"the same picture: {exact} groups of copies, {near} pairs nearly the same; "
        f"{len(found.leaks)} of them across parts, {torn} with two labels"
    )
    if not found.complete:
        lines.append(f"warning: more than {MOST_PAIRS} pairs are nearly the same, and not all were looked for")
    if known := patients(found):
        crossing = len(found.crossing_groups)
        lines.append(
            f"patients: {known['all']}, {crossing or 'none'} in more than one of {listed(found.names_of_parts())}"
        )
    else:
        lines.append("patients: not known, so that no one can say whether any is in several parts")
    held_kinds = kinds(found)
    if len(held_kinds) > 1:
        told = "; ".join(f"{kind}: {sum(count.values())}" for kind, count in held_kinds.items())
        lines.append(f"file formats: {told} (by class in the report: a format that one class has tells the class)")
    lines.append(colour_line(found.colours))
    out = len(exclusions(found))
    return [*lines, f"better left out: {out} images, in {EXCLUDE}; for lab train --exclude"] if out else lines


def colour_line(colours: ColourBaseline | str) -> str:
    """What the colours alone reach, and what that means."""
    if isinstance(colours, str):
        return f"colours alone: not measured, as {colours}"
    low, high = colours.interval
    told = (
        f"colours alone: accuracy {colours.accuracy:.1%} (95%: {low:.1%} to {high:.1%}; one answer for all: "
        f"{colours.majority_share:.1%}), balanced {colours.balanced_accuracy:.1%} (chance: {colours.chance:.1%})"
    )
    if colours.suspicious:
        return f"warning: {told}: the task may be solvable by stain or camera; a network should do clearly better"
    return told


def require_no_leaks(found: Findings, folder: Path) -> None:
    """Raises DataError where a picture or a patient is in more than one part."""
    if not found.leaky:
        return
    remedies = [f"lab train --exclude {folder / EXCLUDE}"] if found.leaks else []
    remedies += ["a split by patient with lab data split"] if found.crossing_groups else []
    raise DataError(
        f"leakage: {found.crossing()} in more than one of {listed(found.names_of_parts())}; "
        f"see {folder / PAGE}, then {' and '.join(remedies)}"
    )

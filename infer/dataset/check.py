"""`lab data check`: every image decoded, and what is wrong with them, or between them, found."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from infer.core.console import Bar, Screen
from infer.core.errors import DataError
from infer.core.files import write_text
from infer.dataset.colour_baseline import ColourBaseline, colour_baseline
from infer.dataset.config import EXCLUDE, PAGE, REPORT, DataCheckConfig
from infer.dataset.exclude import leave_out, write_exclusions
from infer.dataset.findings import (
    CUT,
    EMPTY,
    NEAR,
    NO_LABEL,
    ODD,
    SAME_BYTES,
    SAME_PATH,
    SAME_PIXELS,
    TINY,
    UNREADABLE,
    Findings,
    Match,
    Problem,
    exclusions,
)
from infer.dataset.image_facts import Facts, survey
from infer.dataset.layouts import parts, read_listed
from infer.dataset.near_duplicates import MOST_PAIRS, near_pairs
from infer.dataset.page import check_page
from infer.dataset.report import json_text
from infer.dataset.table import TEST, UNKNOWN, Table

UNIFORM = 0.99
"""Near-empty: a larger share of the pixels is of one brightness. Cells cut out on black have 0.8."""
CUT_OFF = 0.05
"""Cut off: a larger share of the rows is what a decoder puts where the file ends."""


def check_data(config: DataCheckConfig, screen: Screen) -> Findings:
    """Look at all images of a data set and write the report: JSON, HTML and the list of images to leave out.

    Raises:
        DataError: the data set cannot be read, or holds no image.
        OutputError: the report cannot be written.
    """
    table, _ = read_listed(config.data)
    table = leave_out(table, config.exclude, screen)
    if not len(table):
        raise DataError(f"no images found in {table.root}; lab reads JPEG, PNG, BMP, TIFF, WebP and GIF")
    screen.say(f"data: {table.root} ({table.layout})")
    found = find_all(table, config, screen)
    write_text(config.folder / REPORT, json_text(found))
    write_text(config.folder / PAGE, check_page(found))
    write_exclusions(config.folder / EXCLUDE, exclusions(found))
    return found


def find_all(table: Table, config: DataCheckConfig, screen: Screen) -> Findings:
    """Decode every image of a table once and compare them."""
    paths = list(dict.fromkeys(table.paths))
    place_of = {path: place for place, path in enumerate(paths)}
    places = np.array([place_of[path] for path in table.paths])
    facts, why = survey(table.root, paths, screen)
    facts = facts[places]
    unreadable = {row: why[place] for row, place in enumerate(places.tolist()) if place in why}
    problems = find_problems(table, facts, unreadable, config)
    named = parts(table)
    blank = {problem.row for problem in problems if problem.kind in (UNREADABLE, EMPTY)}
    with screen.bar("comparing", len(table)) as bar:
        matches, closest, complete = _find_matches(table, named, facts, blank, config.near, bar)
    return Findings(
        table=table,
        parts=named,
        facts=facts,
        problems=tuple(problems),
        matches=tuple(sorted(matches, key=lambda match: (not match.crosses, -match.likeness, match.rows))),
        closest=tuple(closest),
        complete=complete,
        crossing_groups=_crossing_groups(table, named),
        colours=_colours(table, facts, unreadable),
    )


def find_problems(table: Table, facts: Facts, unreadable: dict[int, str], config: DataCheckConfig) -> list[Problem]:
    """What is wrong with images by themselves; `unreadable` tells why of each row that cannot be read."""
    readable = [row for row in range(len(table)) if row not in unreadable]
    side = np.sqrt(facts["height"] * facts["width"].astype(np.float64))
    long = np.maximum(facts["height"], facts["width"]) / np.maximum(1, np.minimum(facts["height"], facts["width"]))
    middle = (float(np.median(side[readable])), float(np.median(long[readable]))) if readable else (1.0, 1.0)
    found = [Problem(row, UNREADABLE, why) for row, why in unreadable.items()]
    for row in range(len(table)):
        if table.labels[row] == UNKNOWN and table.splits[row] != TEST:
            found.append(Problem(row, NO_LABEL, f"in {table.splits[row]}"))
    for row in readable:
        one = facts[row]
        size = f"{one['width']} x {one['height']} pixels"
        if one["contrast"] < config.empty or one["uniform"] > UNIFORM:
            told = f"brightness has std {one['contrast']:.1f}, {one['uniform']:.1%} of the pixels are of one brightness"
            found.append(Problem(row, EMPTY, told))
        elif one["cut"] > CUT_OFF:
            found.append(Problem(row, CUT, f"the lower {one['cut']:.0%} is what decoders put where a file ends"))
        if min(one["height"], one["width"]) < config.tiny:
            found.append(Problem(row, TINY, size))
        elif _far(side[row], middle[0], config.odd_size) or _far(long[row], middle[1], config.odd_aspect):
            found.append(Problem(row, ODD, f"{size}; the median is {middle[0]:.0f} a side, {middle[1]:.2f} to 1"))
    return found


def _far(value: float, middle: float, factor: float) -> bool:
    return bool(value > middle * factor or value < middle / factor)


def _find_matches(
    table: Table, named: tuple[str, ...], facts: Facts, blank: set[int], limit: float, bar: Bar
) -> tuple[list[Match], list[Match], bool]:
    """Rows that show one picture, or nearly, which `blank` ones do not; the closest others; whether all were found."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(facts["pixels"].tolist()):
        rows_of[digest.decode() or f"unreadable {table.paths[row]}"].append(row)
    pictures = list(rows_of.values())
    compared = [rows for rows in pictures if rows[0] not in blank]
    near, below = near_pairs(facts["signature"][[rows[0] for rows in compared]], limit, bar.step)

    def match(rows: list[int], kind: str, likeness: float) -> Match:
        crosses = len({named[row] for row in rows}) > 1
        labels = {int(table.labels[row]) for row in rows} - {UNKNOWN}
        return Match(tuple(sorted(rows)), kind, likeness, crosses, len(labels) > 1)

    exact = [match(rows, _kind(rows, table, facts), 1.0) for rows in pictures if len(rows) > 1]
    alike = [
        match(compared[first] + compared[second], NEAR, float(value))
        for (first, second), value in zip(near.places.tolist(), near.likeness, strict=True)
    ]
    others = [
        Match((compared[first][0], compared[second][0]), NEAR, float(value), crosses=False, contradicts=False)
        for (first, second), value in zip(below.places.tolist(), below.likeness, strict=True)
    ]
    return exact + alike, others, len(near.likeness) <= MOST_PAIRS


def _kind(rows: list[int], table: Table, facts: Facts) -> str:
    if len({table.paths[row] for row in rows}) == 1:
        return SAME_PATH
    return SAME_BYTES if len(set(facts["file"][rows].tolist())) == 1 else SAME_PIXELS


def _crossing_groups(table: Table, named: tuple[str, ...]) -> dict[str, dict[str, int]]:
    held = {group: Counter[str]() for group in replace(table, splits=named).crossing_groups()}
    for group, part in zip(table.groups, named, strict=True):
        if group in held:
            held[group][part] += 1
    return {group: dict(counts) for group, counts in held.items()}


def _colours(table: Table, facts: Facts, unreadable: dict[int, str]) -> ColourBaseline | str:
    """The baseline on one row of each picture that has a label."""
    first: dict[bytes, int] = {}
    for row, digest in enumerate(facts["pixels"].tolist()):
        if row not in unreadable and table.labels[row] != UNKNOWN:
            first.setdefault(digest, row)
    rows = list(first.values())
    groups = np.array([table.groups[row] or f"\0{row}" for row in rows], dtype=np.str_)
    return colour_baseline(facts["colour"][rows], table.labels[rows], groups)

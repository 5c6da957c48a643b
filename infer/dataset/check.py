"""`lab data check`: decode every image, and find bad images, copies and leakage between splits."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from infer.core.console import Bar, Screen
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set
from infer.core.formulas import tell_formulas
from infer.dataset.colour_baseline import ColourBaseline, colour_baseline
from infer.dataset.config import EXCLUDE, PAGE, REPORT, DataCheckConfig
from infer.dataset.exclude import exclusions_text, read_exclusions, without_excluded
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
from infer.dataset.image_facts import Facts, measure_images
from infer.dataset.layouts import parts
from infer.dataset.near_duplicates import MOST_PAIRS, near_pairs
from infer.dataset.page import check_page
from infer.dataset.report import json_text
from infer.dataset.source import find_source, read_source
from infer.dataset.summary import show_source
from infer.dataset.table import TEST, UNKNOWN, Table
from infer.dataset.validation import label_problem
from infer.images.colour import FULL_BITS, bits_for
from infer.images.listing import no_images
from infer.images.survey import survey

UNIFORM = 0.99
"""An image is near-empty if a larger share of its pixels has one brightness; cells cut out on black have 0.8."""
CUT_OFF = 0.05
"""An image is cut off if a larger share of its rows is the grey that a decoder fills in where the file ends."""


def check_data(config: DataCheckConfig, screen: Screen) -> Findings:
    """Check all images of a data set and write the report: JSON, HTML and the list of images to leave out.

    Raises:
        DataError: the data set cannot be read, or holds no image.
        OutputError: the report cannot be written.
    """
    with exclusive(config.folder):
        return _check_alone(config, screen)


def _check_alone(config: DataCheckConfig, screen: Screen) -> Findings:
    """Check while no other process writes the same report. Raises DataError, OutputError."""
    table, _ = read_source(find_source(config.data, config), screen=screen)
    table = without_excluded(table, config.exclude, screen)
    if not len(table):
        raise no_images(table.source, *table.notes)
    if problem := label_problem(table):
        table = replace(table, notes=(*table.notes, f"warning: {problem}"))
    seen = survey(table.files())
    table = replace(table, notes=(*table.notes, *seen.notes(FULL_BITS)))
    show_source(table, screen)
    found_before = read_exclusions(config.exclude) if config.exclude else []
    findings = inspect_table(table, config, screen, FULL_BITS if seen.largest is None else bits_for(seen.largest))
    tell_formulas(screen, (item.path for item in exclusions(findings)))
    with file_set(config.folder / REPORT) as files:
        files.write_text(config.folder / REPORT, json_text(findings))
        files.write_text(config.folder / PAGE, check_page(findings))
        files.write_text(config.folder / EXCLUDE, exclusions_text([*found_before, *exclusions(findings)]))
    return findings


def inspect_table(table: Table, config: DataCheckConfig, screen: Screen, bits: int = FULL_BITS) -> Findings:
    """Decode every image of a table once, taking those of more than 8 bits to use `bits`, and compare all of them."""
    paths = list(dict.fromkeys(table.paths))
    index_of = {path: index for index, path in enumerate(paths)}
    indices = np.array([index_of[path] for path in table.paths])
    facts, reasons = measure_images(table.root, paths, screen, bits)
    facts = facts[indices]
    unreadable = {row: reasons[index] for row, index in enumerate(indices.tolist()) if index in reasons}
    problems = find_problems(table, facts, unreadable, config)
    row_parts = parts(table)
    blank = {problem.row for problem in problems if problem.kind in (UNREADABLE, EMPTY)}
    with screen.bar("comparing", len(table)) as bar:
        matches, closest, complete = _find_matches(table, row_parts, facts, blank, config.near, bar)
    return Findings(
        table=table,
        parts=row_parts,
        facts=facts,
        problems=tuple(problems),
        matches=tuple(sorted(matches, key=lambda match: (not match.crosses, -match.likeness, match.rows))),
        closest=tuple(closest),
        complete=complete,
        crossing_groups=_crossing_groups(table, row_parts),
        colours=_colours(table, facts, unreadable),
    )


def find_problems(table: Table, facts: Facts, unreadable: dict[int, str], config: DataCheckConfig) -> list[Problem]:
    """Find what is wrong with single images; `unreadable` gives the reason for each row that cannot be read."""
    readable = [row for row in range(len(table)) if row not in unreadable]
    side = np.sqrt(facts["height"] * facts["width"].astype(np.float64))
    aspect = np.maximum(facts["height"], facts["width"]) / np.maximum(1, np.minimum(facts["height"], facts["width"]))
    median_side, median_aspect = (float(np.median(v[readable])) if readable else 1.0 for v in (side, aspect))
    problems = [Problem(row, UNREADABLE, reason) for row, reason in unreadable.items()]
    for row in range(len(table)):
        if table.labels[row] == UNKNOWN and table.splits[row] != TEST:
            problems.append(Problem(row, NO_LABEL, f"in {table.splits[row]}"))
    for row in readable:
        image = facts[row]
        size = f"{image['width']} x {image['height']} pixels"
        if image["contrast"] < config.empty or image["uniform"] > UNIFORM:
            detail = (
                f"brightness has std {image['contrast']:.1f}, {image['uniform']:.1%} of the pixels have one brightness"
            )
            problems.append(Problem(row, EMPTY, detail))
        elif image["cut"] > CUT_OFF:
            detail = f"the lower {image['cut']:.0%} is the grey that decoders fill in where a file ends"
            problems.append(Problem(row, CUT, detail))
        if min(image["height"], image["width"]) < config.tiny:
            problems.append(Problem(row, TINY, size))
        elif _differs(side[row], median_side, config.odd_size) or _differs(
            aspect[row], median_aspect, config.odd_aspect
        ):
            detail = f"{size}; the median side is {median_side:.0f} pixels, the median aspect ratio {median_aspect:.2f}"
            problems.append(Problem(row, ODD, detail))
    return problems


def _differs(value: float, median: float, factor: float) -> bool:
    """Whether a value differs from the median by more than a factor."""
    return bool(value > median * factor or value < median / factor)


def _find_matches(
    table: Table, row_parts: tuple[str, ...], facts: Facts, blank: set[int], limit: float, bar: Bar
) -> tuple[list[Match], list[Match], bool]:
    """Find rows that show the same picture, or nearly; `blank` rows are compared with nothing.

    Returns:
        The matches, the closest pairs below `limit`, and whether the search was complete.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(facts["pixels"].tolist()):
        rows_of[digest.decode() or f"unreadable {table.paths[row]}"].append(row)
    pictures = list(rows_of.values())
    compared = [rows for rows in pictures if rows[0] not in blank]
    near, below = near_pairs(facts["signature"][[rows[0] for rows in compared]], limit, bar.step)

    def match(rows: list[int], kind: str, likeness: float) -> Match:
        crosses = len({row_parts[row] for row in rows}) > 1
        labels = {int(table.labels[row]) for row in rows} - {UNKNOWN}
        return Match(tuple(sorted(rows)), kind, likeness, crosses, len(labels) > 1)

    exact = [match(rows, _kind(rows, table, facts), 1.0) for rows in pictures if len(rows) > 1]
    similar = [
        match(compared[first] + compared[second], NEAR, float(value))
        for (first, second), value in zip(near.indices.tolist(), near.likeness, strict=True)
    ]
    closest = [
        Match((compared[first][0], compared[second][0]), NEAR, float(value), crosses=False, contradicts=False)
        for (first, second), value in zip(below.indices.tolist(), below.likeness, strict=True)
    ]
    return exact + similar, closest, len(near.likeness) <= MOST_PAIRS


def _kind(rows: list[int], table: Table, facts: Facts) -> str:
    if len({table.paths[row] for row in rows}) == 1:
        return SAME_PATH
    return SAME_BYTES if len(set(facts["file"][rows].tolist())) == 1 else SAME_PIXELS


def _crossing_groups(table: Table, row_parts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Count the images in each part, for each group that is in several parts."""
    counts = {group: Counter[str]() for group in replace(table, splits=row_parts).crossing_groups()}
    for group, part in zip(table.groups, row_parts, strict=True):
        if group in counts:
            counts[group][part] += 1
    return {group: dict(by_part) for group, by_part in counts.items()}


def _colours(table: Table, facts: Facts, unreadable: dict[int, str]) -> ColourBaseline | str:
    """Measure the colour baseline on one row of each labelled picture."""
    first: dict[bytes, int] = {}
    for row, digest in enumerate(facts["pixels"].tolist()):
        if row not in unreadable and table.labels[row] != UNKNOWN:
            first.setdefault(digest, row)
    rows = list(first.values())
    groups = np.array([table.groups[row] or f"\0{row}" for row in rows], dtype=np.str_)
    return colour_baseline(facts["colour"][rows], table.labels[rows], groups)

"""The findings of `lab data check`, and the images that they suggest to leave out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from infer.dataset.colour_baseline import ColourBaseline
from infer.dataset.exclude import Exclusion
from infer.dataset.image_facts import Facts
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table

UNREADABLE, NO_LABEL, EMPTY, CUT, TINY, ODD = "unreadable", "no label", "near-empty", "cut off", "tiny", "odd shape"
PROBLEMS = (UNREADABLE, NO_LABEL, EMPTY, CUT, TINY, ODD)
SAME_PATH, SAME_BYTES, SAME_PIXELS, NEAR = "same path", "same bytes", "same pixels", "nearly the same"


@dataclass(frozen=True)
class Problem:
    """One problem of one image."""

    row: int
    """Row of the table."""
    kind: str
    """One of PROBLEMS."""
    detail: str
    """The measured value or the reason, in words."""


@dataclass(frozen=True)
class Match:
    """Rows of the table that show the same picture, or nearly the same."""

    rows: tuple[int, ...]
    kind: str
    """SAME_PATH, SAME_BYTES, SAME_PIXELS or NEAR."""
    likeness: float
    """Likeness as defined in infer/dataset/near_duplicates.py; 1 for the same picture."""
    crosses: bool
    """Whether the rows are in different parts of the data set."""
    contradicts: bool
    """Whether the rows have different labels."""

    @property
    def exact(self) -> bool:
        """Whether the rows show the same picture, not just nearly the same."""
        return self.kind != NEAR


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that was found in a table; rows are its row indices."""

    table: Table
    parts: tuple[str, ...]
    """[n] part of each row: its split, or its fold in C-NMC's layout."""
    facts: Facts
    """[n]; zeros where the image cannot be read."""
    problems: tuple[Problem, ...]
    matches: tuple[Match, ...]
    """Matches that cross parts first."""
    closest: tuple[Match, ...]
    """The pairs just below the limit, to be looked at; neither `crosses` nor `contradicts` is set."""
    complete: bool
    """False where the search for near duplicates was stopped because there were too many."""
    crossing_groups: dict[str, dict[str, int]]
    """Images in each part, for each patient in several parts."""
    colours: ColourBaseline | str
    """The colour baseline, or the reason why it was not measured."""

    @property
    def leaks(self) -> tuple[Match, ...]:
        """The matches that cross parts."""
        return tuple(match for match in self.matches if match.crosses)

    @property
    def leaky(self) -> bool:
        """Whether there is leakage: a match or a patient that crosses parts."""
        return bool(self.leaks or self.crossing_groups)

    def crossing(self) -> str:
        """Describe what crosses parts: `1 picture and 2 patients`."""
        counts = ((len(self.leaks), "picture"), (len(self.crossing_groups), "patient"))
        return " and ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in counts if count)

    def names_of_parts(self) -> list[str]:
        """Return the names of the parts, training first."""
        rank = {TRAIN: 0, VALID: 1, TEST: 2}
        return sorted(set(self.parts), key=lambda part: (rank.get(part, 0), part))


def exclusions(findings: Findings) -> list[Exclusion]:
    """Return the images that training should leave out, with the reason for each.

    These are images with a problem; images with a copy that has another label; and all copies of a picture but one,
    which is in test if any is, else in validation, else the first. Near duplicates are among them only where they cross
    parts, or where a validation split is yet to be drawn. A test image is among them only if it cannot be read.
    """
    splits, paths, labels = findings.table.splits, findings.table.paths, findings.table.labels
    reasons = {
        problem.row: f"{problem.kind}: {problem.detail}"
        for problem in findings.problems
        if splits[problem.row] != TEST or problem.kind == UNREADABLE
    }
    for match in findings.matches:
        if match.contradicts and match.exact:
            for row in match.rows:
                other = next(r for r in match.rows if labels[r] not in (UNKNOWN, labels[row]))
                reasons |= {row: f"{match.kind} as {paths[other]}, another label"} if splits[row] != TEST else {}
    matches_of: dict[int, list[int]] = defaultdict(list)
    for index, match in enumerate(findings.matches):
        for row in match.rows:
            matches_of[row].append(index)
    kept: dict[int, dict[str, int]] = defaultdict(dict)  # by match and part, the first row that is kept
    rank = {TEST: 0, VALID: 1, TRAIN: 2}
    for row in sorted(matches_of, key=lambda row: (rank[splits[row]], row)):
        if row in reasons:
            continue
        if splits[row] != TEST and (reason := _copy_of(row, matches_of[row], kept, findings)):
            reasons[row] = reason
            continue
        for index in matches_of[row]:
            kept[index].setdefault(findings.parts[row], row)
    repeated = {paths[row] for match in findings.matches if match.kind == SAME_PATH for row in match.rows}
    return [
        Exclusion(paths[row], splits[row] if paths[row] in repeated else "", reasons[row]) for row in sorted(reasons)
    ]


def _copy_of(row: int, indices: Sequence[int], kept: dict[int, dict[str, int]], findings: Findings) -> str | None:
    """Return why a row is left out, given the rows that are kept; None if it is kept too."""
    paths, parts, splits = findings.table.paths, findings.parts, findings.table.splits
    for index in indices:
        match = findings.matches[index]
        for part, other in kept[index].items():
            across = part != parts[row]
            listed_twice = paths[other] == paths[row] and splits[other] == splits[row]
            if not listed_twice and (across or match.exact or VALID not in splits):
                return f"{match.kind} as {paths[other]}" + (f" in {part}" if across else "")
    return None

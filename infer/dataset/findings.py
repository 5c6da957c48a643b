"""What `lab data check` finds in a data set, and which images it would leave out."""

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
    """What is wrong with one image."""

    row: int
    """Of the table."""
    kind: str
    """One of PROBLEMS."""
    detail: str
    """The value that was found, for people."""


@dataclass(frozen=True)
class Match:
    """Rows of the table that show the same picture, or nearly."""

    rows: tuple[int, ...]
    kind: str
    """SAME_PATH, SAME_BYTES, SAME_PIXELS or NEAR."""
    likeness: float
    """Of infer/dataset/near_duplicates.py; 1 for the same picture."""
    crosses: bool
    """Whether the rows are of different parts of the data set."""
    contradicts: bool
    """Whether the rows have different labels."""

    @property
    def exact(self) -> bool:
        """Whether it is the same picture."""
        return self.kind != NEAR


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was found; a row's number is its place in the table."""

    table: Table
    parts: tuple[str, ...]
    """[n] what shares nothing with another: the split, or C-NMC's fold."""
    facts: Facts
    """[n]; zeros where the image cannot be read."""
    problems: tuple[Problem, ...]
    matches: tuple[Match, ...]
    """Those that cross parts first."""
    closest: tuple[Match, ...]
    """The most alike of the pictures that are different, for people to look at; they cross and contradict nothing."""
    complete: bool
    """False where there are so many near duplicates that not all were looked for."""
    crossing_groups: dict[str, dict[str, int]]
    """Of each patient in several parts, the images in each."""
    colours: ColourBaseline | str
    """Or why there is none."""

    @property
    def leaks(self) -> tuple[Match, ...]:
        """The matches that cross parts."""
        return tuple(match for match in self.matches if match.crosses)

    @property
    def leaky(self) -> bool:
        """Whether anything crosses parts."""
        return bool(self.leaks or self.crossing_groups)

    def crossing(self) -> str:
        """What crosses parts, for people: `1 picture and 2 patients`."""
        counts = ((len(self.leaks), "picture"), (len(self.crossing_groups), "patient"))
        return " and ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in counts if count)

    def names_of_parts(self) -> list[str]:
        """The parts, in the order in which they are read: training first."""
        rank = {TRAIN: 0, VALID: 1, TEST: 2}
        return sorted(set(self.parts), key=lambda part: (rank.get(part, 0), part))


def exclusions(found: Findings) -> list[Exclusion]:
    """The images that `lab train` had better leave out, with the reason for each.

    Those with a problem; those of which another copy has another label; and of each picture all copies but one: the one
    in the test split, else in validation, else the first. Near duplicates go only where they cross parts, or where a
    validation split is yet to be drawn. No test image is among them, unless it cannot be read.
    """
    splits, paths = found.table.splits, found.table.paths
    reasons = {
        problem.row: f"{problem.kind}: {problem.detail}"
        for problem in found.problems
        if splits[problem.row] != TEST or problem.kind == UNREADABLE
    }
    for match in found.matches:
        if match.contradicts and match.exact:
            for row in match.rows:
                other = next(r for r in match.rows if found.table.labels[r] not in (UNKNOWN, found.table.labels[row]))
                reasons |= {row: f"{match.kind} as {paths[other]}, another label"} if splits[row] != TEST else {}
    matches_of: dict[int, list[int]] = defaultdict(list)
    for number, match in enumerate(found.matches):
        for row in match.rows:
            matches_of[row].append(number)
    kept: dict[int, dict[str, int]] = defaultdict(dict)  # of each match, a kept row of each part
    rank = {TEST: 0, VALID: 1, TRAIN: 2}
    for row in sorted(matches_of, key=lambda row: (rank[splits[row]], row)):
        if row in reasons:
            continue
        if splits[row] != TEST and (reason := _copy_of(row, matches_of[row], kept, found)):
            reasons[row] = reason
            continue
        for number in matches_of[row]:
            kept[number].setdefault(found.parts[row], row)
    several = {paths[row] for match in found.matches if match.kind == SAME_PATH for row in match.rows}
    return [
        Exclusion(paths[row], splits[row] if paths[row] in several else "", reasons[row]) for row in sorted(reasons)
    ]


def _copy_of(row: int, numbers: Sequence[int], kept: dict[int, dict[str, int]], found: Findings) -> str | None:
    """Why a row goes, in view of those that stay; None if it stays too."""
    paths, parts, splits = found.table.paths, found.parts, found.table.splits
    for number in numbers:
        match = found.matches[number]
        for part, other in kept[number].items():
            across = part != parts[row]
            listed_twice = paths[other] == paths[row] and splits[other] == splits[row]
            if not listed_twice and (across or match.exact or VALID not in splits):
                return f"{match.kind} as {paths[other]}" + (f" in {part}" if across else "")
    return None

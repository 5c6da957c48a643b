"""Which column of a labels table names the image, its label, its patient and its split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.findings_columns import (
    CellFinding,
    findings_of,
    findings_separator,
    is_finding_column,
    one_hot_among_others,
    one_hot_columns,
    refuse_several_findings,
)
from infer.dataset.image_column import find_image_column
from infer.dataset.known_headers import (
    GROUP_NAMES,
    IMAGE_NAMES,
    KNOWN_HEADERS,
    LABEL_NAMES,
    SPLIT_COLUMN_NAMES,
    KnownHeader,
)
from infer.dataset.label_file import LabelFile


@dataclass(frozen=True)
class ColumnNames:
    """What the user names on the command line or in a dataset card; "" where it is left to the header."""

    image: str = ""
    label: str = ""
    group: str = ""
    split: str = ""

    def of_images_alone(self, header: Sequence[str]) -> "ColumnNames":
        """Those of a table of test images with this header, which need not have the labels, groups and splits."""
        names = [name.lower() for name in header]
        label, group, split = (
            name if name.strip().lower() in names else "" for name in (self.label, self.group, self.split)
        )
        return ColumnNames(self.image, label, group, split)


@dataclass(frozen=True)
class Columns:
    """Positions of the columns in a header."""

    image: int
    label: int | None = None
    group: int | None = None
    split: int | None = None
    one_hot: tuple[int, ...] = ()
    """One column for each class, in place of a label column."""
    finding: CellFinding | None = None
    """The finding that is looked for in a label column of several findings a cell."""
    is_finding: bool = False
    """Whether the label column is a finding of 1, 0, -1 (uncertain) and blank (not mentioned) that the user chose."""
    group_pattern: str = ""
    source: str = ""
    """Where the header is known from; "" where it was told, or recognised by its words."""

    def describe(self, header: Sequence[str]) -> str:
        """For people: `images image_id, labels dx, groups lesion_id (HAM10000)`."""
        parts = [f"images {header[self.image]}"]
        if self.one_hot:
            parts.append(f"labels one-hot in {listed([header[position] for position in self.one_hot], 8)}")
        elif self.label is not None:
            parts.append(
                f"labels {header[self.label]}" + (f" with {self.finding.finding} or without" if self.finding else "")
            )
        parts += [f"groups {header[self.group]}"] if self.group is not None else []
        parts += [f"splits {header[self.split]}"] if self.split is not None else []
        usual = header[self.image].lower() in IMAGE_NAMES and self.label is not None
        usual = usual and header[self.label or 0].lower() in LABEL_NAMES
        return ", ".join(parts) + (f" (as in {self.source.partition(',')[0]})" if self.source and not usual else "")


def find_columns(
    table: LabelFile,
    chosen: ColumnNames,
    is_image: Callable[[str], bool],
    needs_label: bool = True,
    finding: CellFinding | None = None,
) -> Columns:
    """Find the columns of a table: those that are named, then those of a known header, then by their words.

    Args:
        table: a header and rows.
        chosen: the columns that the user named.
        is_image: whether an image of this name lies there; tells a row number from a file name.
        needs_label: whether a table without labels is an error.
        finding: what another table of the set has in place of labels; it is looked for where its column is here too.

    Raises:
        DataError: a named column is not there, two columns fit a role, no column fits, or the table has several labels
            an image.
    """
    if not table.header:
        raise DataError(f"{table.path} is empty; it needs the names of its columns, such as Path and label, and rows")
    names = [name.lower() for name in table.header]
    known = _known_header(table, names, chosen)
    if chosen.image:
        image = _named(table, names, "--image-column", chosen.image)
    else:
        image = find_image_column(table, names, known, is_image)
    label, finding = _label_by_name(table, names, chosen.label, known, finding)
    free = [position for position in range(len(names)) if position not in (image, label)]
    group = _group_column(table, names, chosen.group, known, free)
    split = _split_column(table, names, chosen.split, free)
    one_hot: tuple[int, ...] = ()
    if label is None:
        label = _only(table, [p for p in free if names[p] in LABEL_NAMES and p != group], "--label-column", "labels")
    if label is None:
        one_hot = one_hot_columns(table, [position for position in free if position not in (group, split)])
    if needs_label and label is None and not one_hot:
        raise DataError(
            f"{table.path} has the columns {listed(table.header, 20)}; none is known to hold labels: name it with "
            f"--label-column{one_hot_among_others(table, [p for p in free if p not in (group, split)])}"
        )
    if label is not None and not finding:
        refuse_several_findings(table, label)
    _require_one_column(table, names, {image: chosen.image, label: chosen.label, group: chosen.group})
    if label == image:
        raise DataError(f"{table.path}: {table.header[image]} cannot be both images and labels; name another column")
    return Columns(
        image=image,
        label=label,
        group=group,
        split=split,
        one_hot=one_hot,
        finding=finding,
        is_finding=bool(chosen.label and not finding and label is not None and is_finding_column(table, label)),
        group_pattern=known.group_pattern if known and group is not None and names[group] == known.group else "",
        source=known.source if known else "",
    )


def _label_by_name(
    table: LabelFile, names: list[str], chosen: str, known: KnownHeader | None, finding: CellFinding | None
) -> tuple[int | None, CellFinding | None]:
    """The column of labels that another table's finding, the user or the known header names, and what it holds."""
    if finding and finding.column in names:
        return names.index(finding.column), finding
    if chosen:
        return _chosen_label(table, names, chosen)
    return (names.index(known.label) if known else None), None


def _group_column(
    table: LabelFile, names: list[str], chosen: str, known: KnownHeader | None, free: Sequence[int]
) -> int | None:
    """The column of patients: the chosen one, that of the known header, or one of the `free` ones by its name."""
    if chosen:
        return _named(table, names, "--group-column", chosen)
    if known and known.group in names:
        return names.index(known.group)
    usual = [position for position in free if names[position] in GROUP_NAMES]
    return _only(table, usual, "--group-column", "patients")


def _split_column(table: LabelFile, names: list[str], chosen: str, free: Sequence[int]) -> int | None:
    """The column of splits: the chosen one, or one of the `free` ones by its name."""
    if chosen:
        return _named(table, names, "--split-column", chosen)
    usual = [position for position in free if names[position] in SPLIT_COLUMN_NAMES]
    return _only(table, usual, "--split-column", "splits")


def _known_header(table: LabelFile, names: list[str], chosen: ColumnNames) -> KnownHeader | None:
    """The first known header whose columns are all here, and whose images are those that the user named."""
    for known in KNOWN_HEADERS:
        if chosen.image.lower() in ("", known.image) and known.image in names and known.label in names:
            others = [
                name for name in LABEL_NAMES if name in names and name not in (known.label, known.image, known.group)
            ]
            if others and known.label in LABEL_NAMES and not chosen.label:
                both = [table.header[names.index(name)] for name in (known.label, *others)]
                raise DataError(f"{table.path}: {listed(both)} could all be labels; choose one with --label-column")
            return known
    return None


def _named(table: LabelFile, names: list[str], option: str, wanted: str) -> int:
    """The position of a column that the user named, exactly or but for case."""
    fitting = [position for position, name in enumerate(table.header) if name == wanted]
    fitting = fitting or [position for position, name in enumerate(names) if name == wanted.strip().lower()]
    if len(fitting) != 1:
        problem = f"has {len(fitting)} columns" if fitting else "has no column"
        raise DataError(
            f"{option} {wanted}: {table.path} {problem} {wanted}, only {listed(table.header, 20)}; name one of them"
        )
    return fitting[0]


def _chosen_label(table: LabelFile, names: list[str], wanted: str) -> tuple[int, CellFinding | None]:
    """The label column that the user named, or one of several findings a cell and the finding that was named."""
    if wanted.strip().lower() not in names:
        for position in range(len(names)):
            cells = {row[position] for row in table.rows}
            if separator := findings_separator(cells):
                findings = {finding for cell in cells for finding in findings_of(cell, separator)}
                if wanted in findings:
                    return position, CellFinding(names[position], wanted, separator)
    return _named(table, names, "--label-column", wanted), None


def _require_one_column(table: LabelFile, names: list[str], chosen: Mapping[int | None, str]) -> None:
    """Raise DataError where a column that is read shares its name with another, and the user did not choose it."""
    for position, option in chosen.items():
        same = [index for index, name in enumerate(names) if position is not None and name == names[position]]
        if len(same) > 1 and not option:
            both = listed([table.header[index] for index in same])
            raise DataError(f"{table.path} has two columns of one name: {both}; keep one, or rename the other")


def _only(table: LabelFile, fitting: list[int], option: str, role: str) -> int | None:
    if len(fitting) > 1:
        both = listed([table.header[position] for position in fitting])
        raise DataError(f"{table.path}: {both} could all be {role}; choose one with {option}")
    return fitting[0] if fitting else None

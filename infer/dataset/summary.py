"""Summary of a data set for the terminal: layout, images per class and split, leakage between splits."""

from rich.table import Table as RichTable
from rich.text import Text

from infer.core.console import Screen
from infer.core.text import listed, shown
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table


def show_table(table: Table, screen: Screen) -> None:
    """Print the layout that was recognised, images per class and split, and leakage between splits."""
    show_source(table, screen)
    screen.show(_counts(table))
    for kind, crossing in (("groups", table.crossing_groups()), ("images", table.crossing_paths())):
        if crossing:
            screen.say(
                f"warning: leakage between splits: {len(crossing)} {kind} are in more than one split, so accuracy may "
                f"be too high: {listed(crossing)}"
            )


def show_source(table: Table, screen: Screen) -> None:
    """Print where a table was read from, the layout that was recognised, and what was left out or assumed."""
    screen.say("\n".join([f"data: {table.source} ({table.layout})", *table.notes]))


def _counts(table: Table) -> RichTable:
    summary = RichTable()
    summary.add_column("class")
    splits = [split for split in (TRAIN, VALID, TEST) if split in table.splits]
    for split in splits:
        summary.add_column(split, justify="right")
    counts = [table.counts(split) for split in splits]
    for index, item in enumerate(table.classes):
        summary.add_row(Text(shown(str(item))), *(str(column[index]) for column in counts))
    unknown = [int((table.split(split).labels == UNKNOWN).sum()) for split in splits]
    if any(unknown):
        summary.add_row(Text("not labelled", "dim"), *map(str, unknown))
    groups = {group for group in table.groups if group}
    if groups:
        by_split = [len(set(table.split(split).groups) - {""}) for split in splits]
        summary.add_row(Text(f"groups ({len(groups)})", "dim"), *map(str, by_split))
    return summary

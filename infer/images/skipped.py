"""Files below a folder of images that are never data: which they are, and how many were skipped for each reason."""

import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from infer.core.text import listed

HELPER_FOLDERS = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *("@eadir", "@tmp", "@sharesnap", "@synoresource", "#recycle", "#snapshot"),  # Synology
        *("@__thumb", "@recycle", "@recently-snapshot"),  # QNAP
        *("lost+found", "__pycache__", "node_modules"),
        *("wandb", "mlruns", "lightning_logs"),  # experiment trackers, which keep pictures
    }
)
"""Names, in lower case, of folders that operating systems, storage boxes and programs make below a data folder."""
HELPER_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".ds_store", "dicomdir"})
"""Names, in lower case, of files that operating systems leave beside pictures, and of DICOM's index, itself DICOM."""
OWN_OUTPUT = (
    frozenset({"report.json", "predictions.csv"}),
    frozenset({"data-check.json", "exclude.csv"}),
    frozenset({"recipe.toml", "data.csv"}),
    frozenset({"disagreements.csv", "confusions.png"}),
    frozenset({"curves.png", "curves.svg"}),
)
"""Names of files that show, together, that lab wrote a folder: a report, a data check, a run, comparisons."""
PREVIEW = "preview"
"""Name of the folder of lab data preview, which holds `0-LABEL.png`, `1-LABEL.png`, ..."""

HIDDEN, HELPER, OWN, OTHER = "hidden files", "helper files", "files of lab's own output", "other files"
MASK = "masks beside pictures, kept by --keep-masks"
LOOSE, UNREAD = "images outside of class folders", "images in folders not read"
UNLISTED = "images that no table lists"
NESTED, LINKS = "archives inside, to be unpacked first", "links to no file here"
UNREADABLE_FOLDER = "folders that may not be listed"


@dataclass
class Skipped:
    """Counts of the files that were skipped."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By reason: number of files by folder, suffix, or example."""

    def add(self, reason: str, kind: str, files: int = 1) -> None:
        """Count files of one kind."""
        if files:
            self.counts.setdefault(reason, Counter())[kind] += files

    def summary(self) -> str:
        """Describe all counts in one line; "" where nothing was skipped."""
        texts = []
        for reason, kinds in sorted(self.counts.items()):
            examples = listed(sorted(kinds, key=lambda kind: (-kinds[kind], kind)), 3)
            texts.append(f"{_counted(sum(kinds.values()), reason)} ({examples})")
        return f"skipped: {'; '.join(texts)}" if texts else ""


def _counted(count: int, reason: str) -> str:
    """`2 other files`, `1 other file`: the first noun of a reason is a plural."""
    singular = re.sub(r"(file|image|mask|archive|link|folder)s", r"\1", reason, count=1)
    return f"{count} {singular if count == 1 else reason}"


def folder_reason(name: str) -> str | None:
    """Return the reason to skip a folder of this name; None where there is none."""
    if name.lower() in HELPER_FOLDERS or re.fullmatch(r"found\.\d{3}", name, re.IGNORECASE):
        return HELPER
    return HIDDEN if name.startswith(".") else None


def file_reason(name: str) -> str | None:
    """Return the reason to skip a file of this name, whatever it holds; None where there is none."""
    if name.lower() in HELPER_FILES or name.startswith("._"):  # AppleDouble, which macOS leaves beside each file
        return HELPER
    return HIDDEN if name.startswith(".") else None


def is_own_output(folder: str, names: Collection[str]) -> bool:
    """Whether lab wrote a folder, by its name and the names of its files."""
    if any(marks.issubset(names) for marks in OWN_OUTPUT):
        return True
    sheets = [re.match(r"(\d+)-.+\.png$", name) for name in names]
    return (
        folder == PREVIEW
        and bool(sheets)
        and sorted(int(sheet[1]) if sheet else -1 for sheet in sheets) == list(range(len(sheets)))
    )


def count_files(folder: str) -> int:
    """Count all files below a folder; those that cannot be listed do not count."""
    return sum(len(names) for _, _, names in os.walk(folder))

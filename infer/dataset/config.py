"""Every knob of data check and data split, with its default. Light to import: the CLI reads it at start-up."""

import re
from dataclasses import dataclass
from pathlib import Path

from infer.config import LEFT_OUT
from infer.core.errors import ConfigError
from infer.core.knob import check, knob, require

REPORT = "data-check.json"
PAGE = "data-check.html"
EXCLUDE = "exclude.csv"
"""What is in the report's folder."""


@dataclass(frozen=True, kw_only=True)
class DataCheckConfig:
    """What `lab data check` is asked for."""

    data: Path
    """A data set in any layout."""
    out: Path | None = knob(None, "Folder of the report.", default_text="data-check-NAME, by the data set's name")
    json: bool = knob(False, "Print the JSON report, and nothing else.")
    exclude: Path | None = knob(None, LEFT_OUT, default_text="none")
    near: float = knob(
        0.99, "How alike pictures are that pass for the same, whatever way up; 1 is identical.", minimum=0.9, maximum=1
    )
    empty: float = knob(4.0, "Near-empty: brightness has a smaller standard deviation, of 255.", minimum=0, maximum=128)
    tiny: int = knob(32, "Tiny: the shorter side has fewer pixels.", minimum=0)
    odd_aspect: float = knob(2.0, "Odd-shaped: so many times more, or less, elongated than the median.", above=1)
    odd_size: float = knob(4.0, "Odd-shaped: its size differs from the median by more than this factor.", above=1)

    def __post_init__(self) -> None:
        check(self, DataCheckConfig)

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return self.out or Path(f"data-check-{self.data.resolve().name}")


@dataclass(frozen=True, kw_only=True)
class DataSplitConfig:
    """What `lab data split` is asked for."""

    source: Path
    """A data set in any layout, or a CSV with Path, label and perhaps a patient."""
    out: Path = knob(Path("split"), "Folder for train.csv, valid.csv and test.csv.")
    valid: float = knob(0.15, "Share of the images for validation.", minimum=0, below=1)
    test: float | None = knob(None, "Share of the images for the test.", minimum=0, below=1, default_text="0.15")
    keep_test: bool = knob(False, "Keep the data set's own test split, and part only the rest.")
    group_pattern: str = knob(
        "", "Regular expression whose first group in an image's path is the patient, such as '([^_/]*)_[^/]*$'.",
        default_text="the patient column, or C-NMC's subjects",
    )  # fmt: skip
    exclude: Path | None = knob(None, LEFT_OUT, default_text="none")
    seed: int = knob(0, "Of the split.", minimum=0, maximum=2**32 - 1)
    force: bool = knob(False, "Overwrite a split that lies there.")

    def __post_init__(self) -> None:
        check(self, DataSplitConfig)
        if self.keep_test and self.test is not None:
            raise ConfigError("--test and --keep-test contradict each other; leave one out")
        together = self.valid + self.test_share
        require(0 < together < 1, "--valid and --test together", "above 0 and below 1", together)
        try:
            groups = re.compile(self.group_pattern).groups
        except re.error as error:
            raise ConfigError(f"--group-pattern is no regular expression: {error}; got {self.group_pattern}") from error
        if self.group_pattern and not groups:
            raise ConfigError(f"--group-pattern needs a group in brackets, the patient; got {self.group_pattern}")

    @property
    def test_share(self) -> float:
        """Of the images that are parted."""
        return 0.0 if self.keep_test else 0.15 if self.test is None else self.test

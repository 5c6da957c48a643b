"""The configs of data check and data split. Light to import: the command line reads them at start-up."""

import re
from dataclasses import dataclass
from pathlib import Path

from infer.config import DATA_HELP, EXCLUDE_HELP, INPUT, RAW_CSV_HELP, LabelOptions
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob, require
from infer.core.output_paths import require_folder_name

REPORT = "data-check.json"
PAGE = "data-check.html"
EXCLUDE = "exclude.csv"
"""Files in the folder of a data check's report."""
LIMITS = "Limits"
"""Panel of the options in help."""


@dataclass(frozen=True, kw_only=True)
class DataCheckConfig(LabelOptions):
    """What `lab data check` does."""

    data: Path = argument("DATA", DATA_HELP)
    out: Path | None = knob(None, "Folder for the report.", default_text="data-check-NAME, by the data set's name")
    json: bool = knob(False, "Print the report as JSON, and nothing else.")
    exclude: Path | None = knob(None, EXCLUDE_HELP, default_text="none")
    near: float = knob(
        0.99,
        "Near-duplicates: similarity from this on, in any orientation; 1 is identical.",
        panel=LIMITS,
        minimum=0.9,
        maximum=1,
    )
    empty: float = knob(
        4.0, "Near-empty: standard deviation of brightness below this, of 255.", panel=LIMITS, minimum=0, maximum=128
    )
    tiny: int = knob(32, "Tiny: shorter side below this, in pixels.", panel=LIMITS, minimum=0)
    odd_aspect: float = knob(
        2.0, "Odd-shaped: aspect ratio differs from the median by more than this factor.", panel=LIMITS, above=1
    )
    odd_size: float = knob(
        4.0, "Odd-shaped: size differs from the median by more than this factor.", panel=LIMITS, above=1
    )

    def __post_init__(self) -> None:
        check(self, DataCheckConfig)
        if self.out:
            require_folder_name("--out", self.out)

    @property
    def folder(self) -> Path:
        """Folder of the report."""
        return self.out or Path(f"data-check-{self.data.resolve().name}")


@dataclass(frozen=True, kw_only=True)
class DataSplitConfig(LabelOptions):
    """What `lab data split` does."""

    source: Path = argument("SOURCE", DATA_HELP)
    out: Path = knob(Path("split"), "Folder for train.csv, valid.csv and test.csv.")
    valid: float = knob(0.15, "Share of the images for validation.", minimum=0, below=1)
    test: float | None = knob(None, "Share of the images for the test.", minimum=0, below=1, default_text="0.15")
    keep_test: bool = knob(False, "Keep the data set's own test split, and split only the rest.")
    group_pattern: str = knob(
        "",
        "Regular expression; group 1 of the path is the patient: '([^_/]*)_[^/]*$'.",
        panel=INPUT,
        default_text="the patient column, or C-NMC's subjects",
    )
    exclude: Path | None = knob(None, EXCLUDE_HELP, panel=INPUT, default_text="none")
    seed: int = knob(0, "Seed of the split.", minimum=0, maximum=2**32 - 1)
    force: bool = knob(False, "Overwrite an existing split.")
    raw_csv: bool = knob(False, RAW_CSV_HELP)

    def __post_init__(self) -> None:
        check(self, DataSplitConfig)
        require_folder_name("--out", self.out)
        if self.keep_test and self.test is not None:
            raise ConfigError("--test and --keep-test contradict each other; leave one of them out")
        together = self.valid + self.test_share
        require(0 < together < 1, "--valid and --test together", "above 0 and below 1", together)
        try:
            groups = re.compile(self.group_pattern).groups
        except re.error as error:
            raise ConfigError(
                f"--group-pattern is not a regular expression: {error}; got {self.group_pattern}"
            ) from error
        if self.group_pattern and not groups:
            raise ConfigError(
                f"--group-pattern needs a group in brackets, which is the patient; got {self.group_pattern}"
            )

    @property
    def test_share(self) -> float:
        """Share of the images that are split off for the test."""
        return 0.0 if self.keep_test else 0.15 if self.test is None else self.test

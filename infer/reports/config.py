"""The config of `lab compare`. Light to import: the command line reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path

from infer.config import JSON_HELP, RAW_CSV_HELP
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob
from infer.core.output_paths import require_folder_name


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What `lab compare` does."""

    paths: tuple[Path, ...] = argument("RUN...", "Folders of runs and reports.")
    out: Path = knob(Path("compare"), "Folder for the pictures and the list of disagreements.")
    last: int | None = knob(None, "Draw only this many last epochs of each run.", above=0, default_text="all")
    json: bool = knob(False, JSON_HELP)
    raw_csv: bool = knob(False, RAW_CSV_HELP)

    def __post_init__(self) -> None:
        check(self, CompareConfig)
        require_folder_name("--out", self.out)
        if len({path.resolve() for path in self.paths}) < len(self.paths):
            raise ConfigError("one folder is given twice; give each once")

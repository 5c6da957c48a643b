"""The config of `lab reproduce`. Light to import: the command line reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path

from infer.config import DATA_HELP, Device
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob, option
from infer.core.output_paths import CSV_SUFFIXES, record_file, require_file_name, require_folder_name, require_suffix
from infer.core.remote import local_file

FOR_RUNS = ("labels", "images")
FOR_PREDICTIONS = ("model",)
RECORDED = "as recorded"


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What `lab reproduce` does. None, or no paths: as the run or the prediction recorded it."""

    target: Path = argument("TARGET", "Run, or CSV that lab predict wrote.")
    out: Path | None = knob(
        None, "Keep the new run in this folder, or the new CSV under this name.", default_text="none"
    )
    data: Path | None = knob(None, DATA_HELP + " Or INPUT of the prediction.", default_text=RECORDED)
    labels: Path | None = knob(None, "Labels table of the run, where it has moved.", default_text=RECORDED)
    images: tuple[Path, ...] = knob((), "Folder of the run's images; repeat it for several.", default_text=RECORDED)
    model: tuple[Path, ...] = knob(
        (), "ONNX file of the prediction; repeat it for several.", short="-m", default_text=RECORDED
    )
    device: Device | None = knob(None, "Device: auto, cuda or cpu, where it is to be another.", default_text=RECORDED)

    def __post_init__(self) -> None:
        check(self, ReproduceConfig)
        unused, kind = (FOR_PREDICTIONS, "runs") if self.is_run else (FOR_RUNS, "CSVs of predictions")
        if given := [option(name) for name in unused if getattr(self, name)]:
            raise ConfigError(f"{given[0]} is not for {kind}, and {self.target} is one; leave it out")
        if self.out and self.is_run:
            require_folder_name("--out", self.out)
        elif self.out:
            require_file_name("--out", self.out)
            require_suffix("--out", self.out, "a CSV", CSV_SUFFIXES)
            if self.out.resolve() == self.target.resolve():
                raise ConfigError(f"--out {self.out} is the CSV to compare with; give another name")
            if local_file(record_file(self.out)) == local_file(record_file(self.target)):
                raise ConfigError(
                    f"--out {self.out} would replace record and report of {self.target}; give another name"
                )

    @property
    def is_run(self) -> bool:
        """Whether the target is a run's folder, and not a CSV."""
        return self.target.is_dir()

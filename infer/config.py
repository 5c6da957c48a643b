"""Every knob of prediction and evaluation, with its default. Light to import: the CLI reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.errors import ConfigError

Device = Literal["auto", "cuda", "cpu"]
BadImages = Literal["fail", "skip", "guess"]
Normalize = Literal["true", "pred", "all", "none"]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What `lab predict` is asked for."""

    source: Path
    """A folder, a CSV that names images, or one image."""
    out: Path = Path("submission.csv")
    model: Path | None = None
    """An ONNX file or a run; None: the newest exported file below `runs`."""
    device: Device = "auto"
    batch_size: int = 64
    """Images a batch, above 0."""
    sample: Path | None = None
    """A sample submission; None: the one in or beside the source, if there is one."""
    use_sample: bool = True
    """False: write every image, whatever sample lies there."""
    truth: Path | None = None
    """A CSV with an image and a label column; None: class folders or a label column of the source, if any."""
    probabilities: Path | None = None
    """Where the probabilities of all classes are written as well."""
    bad_images: BadImages = "fail"
    """On an undecodable image: write nothing, leave it out, or answer the most frequent training class."""
    normalize: Normalize = "none"
    """How the report's confusion matrix is scaled."""

    def __post_init__(self) -> None:
        require_batch(self.batch_size)
        if self.sample and not self.use_sample:
            raise ConfigError("--sample and --no-sample contradict each other; leave one out")
        require_file_name("--out", self.out)
        if self.probabilities:
            require_file_name("--probabilities", self.probabilities)
        outputs = [path.resolve() for path in (self.out, bad_list(self.out), self.probabilities) if path]
        inputs = [path.resolve() for path in (self.source, self.sample, self.truth, self.model) if path]
        if both := set(outputs) & set(inputs):
            raise ConfigError(f"{both.pop()} is read and would be overwritten; give another --out")
        if len(set(outputs)) < len(outputs):
            raise ConfigError(f"--probabilities and --out are both {self.out}; give two names")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What `lab evaluate` is asked for."""

    data: Path | None = None
    """A data set in any layout; None: the images that the model's run set apart for validation."""
    split: Split | None = None
    """None: valid of the run's own data, or the first of test, valid, train with labels."""
    model: Path | None = None
    """An ONNX file or a run; None: the newest exported file below `runs`."""
    device: Device = "auto"
    batch_size: int = 64
    """Images a batch, above 0."""
    out: Path | None = None
    """The report's folder; None: one beside the model, named by data set and split."""
    normalize: Normalize = "none"
    """How the confusion matrix is scaled."""

    def __post_init__(self) -> None:
        require_batch(self.batch_size)


def bad_list(out: Path) -> Path:
    """Where the images that could not be read are listed: beside the CSV."""
    return out.with_suffix(".bad.csv")


def report_folder(out: Path) -> Path:
    """Where the report of a prediction goes: beside the CSV."""
    return out.with_suffix(".report")


def require_batch(size: int) -> None:
    """Raises ConfigError for a batch without images."""
    if size < 1:
        raise ConfigError(f"--batch-size must be above 0, got {size}")


def require_file_name(option: str, path: Path) -> None:
    """Raises ConfigError for a path that is a folder, a device, or no name at all."""
    if not path.name or (path.exists() and not path.is_file()):
        raise ConfigError(
            f"{option} must be a file's name, got {path}; a folder or a device cannot be replaced by a file"
        )

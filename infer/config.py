"""The configs of predict, evaluate and verify. Light to import: the command line reads them at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob
from infer.core.output_paths import (
    CSV_SUFFIXES,
    bad_list,
    progress_file,
    record_file,
    require_file_name,
    require_folder_name,
    require_inputs_kept,
    require_suffix,
)
from infer.core.remote import local_file
from infer.core.text import joined
from infer.model.providers import AUTO, PROVIDERS, check_runtime

DEVICES = (AUTO, *dict.fromkeys(provider.device for provider in PROVIDERS))
RUNTIMES = (AUTO, *sorted({provider.runtime for provider in PROVIDERS}))
if TYPE_CHECKING:
    Device = str
    Runtime = str
else:
    Device, Runtime = Literal[DEVICES], Literal[RUNTIMES]
BadImages = Literal["fail", "skip", "guess"]
Normalize = Literal["true", "pred", "all", "none"]
Split = Literal["train", "valid", "test"]
Engine = Literal["local", "ray"]
Decode = Literal["cpu", "gpu"]
Tta = Literal["none", "flips", "d4", "five-crop", "ten-crop"]


INPUT, OUTPUT, MODEL, REPORT = "Input", "Output", "Model and device", "Report"
"""Panels of the options in help, beside the first one."""

_DEVICES_TEXT = joined(DEVICES, "or")
MODEL_HELP = "ONNX file or run."
NEWEST = "newest export in runs/"
DEVICE_HELP = f"Device: {_DEVICES_TEXT}. Auto reports its choice; cuda never falls back to the CPU."
TTA_HELP = "Test-time augmentation: none, flips, d4, five-crop or ten-crop views."
BATCH_HELP = "Batch size, in images."
LARGEST_BATCH = 65_536
JSON_HELP = "Print one JSON object, and everything else to standard error."
RAW_CSV_HELP = "Keep names in CSVs that a spreadsheet would run as formulas."
DATA_HELP = "Data set: folder, file of images, labels table or card (TOML)."
EXCLUDE_HELP = "CSV of images to leave out, as lab data check writes it."
GATE_DEVICE_HELP = f"Device of the gate: {_DEVICES_TEXT}. Auto is the CPU and every other that is available."
RUNTIME_HELP = f"Runtime: {joined(RUNTIMES, 'or')}. Auto is the fastest that the file has passed its gate on."
GATE_RUNTIME_HELP = f"Runtime of the gate: {joined(RUNTIMES, 'or')}. Auto is all that are installed."
GATE_BATCH_HELP = "Full batch size of the gate, in images."
GATE_IMAGES_HELP = "Number of validation images for the gate, evenly spread."


LABELS = "Labels from a table"


def label_knob(default: Any, help: str, default_text: str = "by its header") -> Any:  # noqa: A002  # as in knob
    """A knob about a labels table; it is the same in all stages of a training run."""
    return knob(default, help, panel=LABELS, default_text=default_text, whole_run=True)


ACCEPT_HELP = "Use a model file that was changed since its export; the report says so."


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Labels from a table instead of the layout of folders. A dataset card (TOML) may give the same values."""

    labels: Path | None = label_knob(
        None, "CSV, TSV, JSON lines or Parquet file of images and labels.", default_text="none"
    )
    images: tuple[Path, ...] = label_knob(
        (), "Folder of the images; repeat it for several.", default_text="the data set's"
    )
    image_column: str = label_knob("", "Column that names the images.")
    label_column: str = label_knob("", "Column of the labels, or one of several findings.")
    group_column: str = label_knob("", "Column of the patients; a split never divides one.")
    split_column: str = label_knob("", "Column of the splits: train, valid or test.")
    keep_masks: bool = label_knob(
        False, "Read masks beside their pictures, such as x_mask.png, as images too.", default_text=""
    )


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How a report looks; part of the config of every command that makes one."""

    normalize: Normalize = knob(
        "none", "Normalise the confusion matrix over: true labels, pred labels, all, or none.", panel=REPORT
    )
    pictures: bool = knob(True, "Draw pictures and write report.html, not the numbers alone.", panel=REPORT)
    thumbnails: int = knob(
        8,
        "Mistakes, and uncertain images, shown per class; 0 for private images.",
        panel=REPORT,
        minimum=0,
        maximum=100,
    )
    heatmaps: bool = knob(
        False, "Draw heat maps of them: class activation (lab export --cam) or occlusion.", panel=REPORT
    )
    json: bool = knob(False, JSON_HELP, panel=REPORT)
    raw_csv: bool = knob(False, RAW_CSV_HELP, panel=REPORT)

    def __post_init__(self) -> None:
        check(self, ReportConfig)
        if self.heatmaps and not (self.pictures and self.thumbnails):
            raise ConfigError("--heatmaps needs thumbnails; leave out --no-pictures and --thumbnails 0")


@dataclass(frozen=True, kw_only=True)
class PredictConfig(ReportConfig):
    """What `lab predict` does. Field names, order and values are part of a prediction's fingerprint."""

    source: Path = argument(
        "INPUT", "Folder, zip, tar, table or list of images, glob pattern or image; - reads a list."
    )
    """`-`: paths of images on standard input, one per line or separated by NUL."""
    out: Path = knob(Path("submission.csv"), "CSV to write.")
    model: tuple[Path, ...] = knob(
        (), "ONNX file or run; repeat it to average several models.", short="-m", default_text=NEWEST
    )
    tta: Tta = knob("none", TTA_HELP, panel=MODEL)
    device: Device = knob("auto", DEVICE_HELP)
    runtime: Runtime = knob("auto", RUNTIME_HELP, panel=MODEL)
    batch_size: int = knob(64, BATCH_HELP, above=0, maximum=LARGEST_BATCH, short="-b")
    image_column: str | None = knob(
        None, "Column of the image names if INPUT is a table.", panel=INPUT, default_text="path, image, id, ..."
    )
    sample: Path | None = knob(
        None, "Sample submission to follow.", panel=INPUT, default_text="sample_submission.csv beside INPUT"
    )
    use_sample: bool = knob(True, "Ignore any sample submission.", panel=INPUT, off_switch="--no-sample")
    """False: write every image, even if a sample submission lies beside the input."""
    truth: Path | None = knob(
        None,
        "Labels table with the true labels (see docs/data.md).",
        default_text="class folders or a label column",
    )
    label_column: str = knob(
        "", "Column of the labels in --truth, else in INPUT.", panel=REPORT, default_text="by its header"
    )
    probabilities: Path | None = knob(None, "CSV or .parquet file for the probabilities of all classes.", panel=OUTPUT)
    top_k: int | None = knob(
        None, "Classes in --probabilities, the most probable first.", panel=OUTPUT, above=0, default_text="all"
    )
    min_confidence: float | None = knob(
        None,
        "Probability below which a column `reject` marks the image.",
        panel=OUTPUT,
        minimum=0,
        maximum=1,
        default_text="none",
    )
    bad_images: BadImages = knob(
        "fail", "Unreadable images: fail (no CSV), skip (no row) or guess (the most frequent class).", panel=INPUT
    )
    tune: bool = knob(
        False, "First measure the fastest settings for this model and device, and save them.", panel=MODEL
    )
    decode: Decode = knob(
        "cpu", "Decode on the cpu, or plain JPEGs on the gpu; the effect is measured and reported.", panel=MODEL
    )
    accept_changed: bool = knob(False, ACCEPT_HELP, panel=MODEL)
    engine: Engine = knob(
        "local", "Run on this machine (local) or a cluster (ray): $RAY_ADDRESS, or one started here.", panel=MODEL
    )
    restart: bool = knob(False, "Start over instead of resuming an unfinished prediction.", panel=OUTPUT)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, PredictConfig)
        check_runtime(self.device, self.runtime)
        if self.tune and self.engine == "ray":
            raise ConfigError("--tune measures this machine, but --engine ray uses others; leave one of them out")
        if self.decode == "gpu" and (self.engine == "ray" or self.device == "cpu"):
            other = "--engine ray" if self.engine == "ray" else "--device cpu"
            raise ConfigError(
                f"--decode gpu needs the GPU of this machine, which {other} does not use; leave one of them out"
            )
        if self.sample and not self.use_sample:
            raise ConfigError("--sample and --no-sample contradict each other; leave one of them out")
        require_file_name("--out", self.out)
        require_suffix("--out", self.out, "a CSV", CSV_SUFFIXES)
        if self.probabilities:
            require_file_name("--probabilities", self.probabilities)
            require_suffix("--probabilities", self.probabilities, "a CSV or Parquet", (*CSV_SUFFIXES, ".parquet"))
        elif self.top_k is not None:
            raise ConfigError("--top-k needs --probabilities, the file that it limits; add it")
        self._check_files()

    def _check_files(self) -> None:
        """Raise ConfigError if a file would be written twice, or be overwritten although it is an input."""
        ours = [self.out, bad_list(self.out), progress_file(self.out), record_file(self.out)]
        require_inputs_kept((self.source, self.sample, self.truth, *self.model), (*ours, self.probabilities))
        if self.probabilities and local_file(self.probabilities) in map(local_file, ours):
            raise ConfigError(f"--probabilities {self.probabilities} is written by --out too; give another name")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ReportConfig, LabelOptions):
    """What `lab evaluate` does."""

    data: Path | None = argument(
        "DATA", "Data set, labels table or dataset card.", default=None, default_text="the run's validation images"
    )
    """A data set in any layout; None: the validation split of the run that the model was exported from."""
    split: Split | None = knob(
        None,
        "Split to evaluate: train, valid or test; without DATA, valid.",
        default_text="the first of test, valid, train",
    )
    model: Path | None = knob(None, MODEL_HELP, short="-m", default_text=NEWEST)
    device: Device = knob("auto", DEVICE_HELP)
    runtime: Runtime = knob("auto", RUNTIME_HELP, panel=MODEL)
    batch_size: int = knob(64, BATCH_HELP, above=0, maximum=LARGEST_BATCH, short="-b")
    out: Path | None = knob(None, "Folder for the report.", default_text="beside the model")
    accept_changed: bool = knob(False, ACCEPT_HELP)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, EvaluateConfig)
        check_runtime(self.device, self.runtime)
        if self.out:
            require_folder_name("--out", self.out)


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What `lab verify` does."""

    file: Path | None = argument("FILE", MODEL_HELP, default=None, default_text=NEWEST)
    """An ONNX file that lab exported, or a run; None: the newest exported file below `runs`."""
    run: Path | None = knob(
        None, "Run, or weights, that the file was exported from.", default_text="the folder of FILE"
    )
    data: Path | None = knob(
        None, "With --run: where its images are now. Alone: data set to measure the accuracy of FILE on."
    )
    device: Device = knob("auto", GATE_DEVICE_HELP)
    runtime: Runtime = knob("auto", GATE_RUNTIME_HELP)
    batch_size: int = knob(64, GATE_BATCH_HELP, above=0, maximum=LARGEST_BATCH, short="-b")
    gate_images: int | None = knob(None, GATE_IMAGES_HELP, above=0, default_text="all")
    reseal: bool = knob(False, "Seal a changed file again where the gate passes, with what was changed.")

    def __post_init__(self) -> None:
        check(self, VerifyConfig)
        check_runtime(self.device, self.runtime)
        if self.reseal and self.data and not self.run:
            raise ConfigError("--reseal needs the gate, which needs the network; name its run with --run")

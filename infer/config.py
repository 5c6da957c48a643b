"""Every knob of predict, evaluate and verify, with its default. Light to import: the CLI reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.core.errors import ConfigError
from infer.core.knob import check, knob
from infer.core.output_paths import bad_list, progress_file, require_file_name

Device = Literal["auto", "cuda", "cpu"]
BadImages = Literal["fail", "skip", "guess"]
Normalize = Literal["true", "pred", "all", "none"]
Split = Literal["train", "valid", "test"]
Engine = Literal["local", "ray"]
Decode = Literal["cpu", "gpu"]
Tta = Literal["none", "flips", "d4", "five-crop", "ten-crop"]


MODEL = "ONNX file or run."
NEWEST = "newest export in runs/"
HONEST = "cuda fails where CUDA cannot be had; auto says what it chose."
BATCH = "Images a batch."
MOST_BATCH = 65_536
SCALE = "Scale of the confusion matrix."
AS_JSON = "Print one JSON object alone; everything else goes to standard error."
LEFT_OUT = "CSV of images to leave out, as lab data check writes it."
GATE_DEVICE = "Where the gate runs it: auto is the CPU, and CUDA too where it is there."
FULL_BATCH = "The gate's full batch."
GATE_IMAGES = "Validation images for the gate, spread evenly."


REPORT = "Report"


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How a report looks; what every command that makes one is asked for."""

    normalize: Normalize = knob("none", SCALE, panel=REPORT)
    pictures: bool = knob(True, "Pictures and the page report.html; without, the numbers alone.", panel=REPORT)
    thumbnails: int = knob(
        8,
        "On the page, of each class so many mistakes, and as many uncertain images; 0 where images are private.",
        panel=REPORT,
        minimum=0,
        maximum=100,
    )
    heatmaps: bool = knob(
        False,
        "Beside them, what speaks for the prediction: by the output of lab export --cam, or by covering parts.",
        panel=REPORT,
    )

    json: bool = knob(False, AS_JSON, panel=REPORT)

    def __post_init__(self) -> None:
        check(self, ReportConfig)
        if self.heatmaps and not (self.pictures and self.thumbnails):
            raise ConfigError("--heatmaps are drawn beside thumbnails on the page; leave out what turns those off")


@dataclass(frozen=True, kw_only=True)
class PredictConfig(ReportConfig):
    """What `lab predict` is asked for."""

    source: Path
    """A folder, a zip or tar file, a CSV that names images, a pattern, one image, or `-`: a list on standard input."""
    out: Path = knob(Path("submission.csv"), "CSV to write.")
    model: tuple[Path, ...] = knob((), f"{MODEL} Several are averaged.", short="-m", default_text=NEWEST)
    tta: Tta = knob("none", "Views of an image whose probabilities are averaged.")
    device: Device = knob("auto", HONEST)
    batch_size: int = knob(64, BATCH, above=0, maximum=MOST_BATCH, short="-b")
    image_column: str | None = knob(
        None, "Column of a CSV as INPUT that names the images.", default_text="path, image, id, ..."
    )
    sample: Path | None = knob(None, "Sample submission.", default_text="sample_submission.csv beside INPUT")
    use_sample: bool = True
    """False: write every image, whatever sample lies there."""
    truth: Path | None = knob(None, "CSV with Path and label.", default_text="class folders or a label column")
    probabilities: Path | None = knob(None, "CSV or .parquet for all classes' probabilities.")
    top_k: int | None = knob(
        None, "In --probabilities: so many labels, the most probable first.", above=0, default_text="all"
    )
    min_confidence: float | None = knob(
        None,
        "Mark images whose best probability is below it, in a column `reject`.",
        minimum=0,
        maximum=1,
        default_text="none",
    )
    bad_images: BadImages = knob("fail", "On an unreadable image: no CSV, no row, or the most frequent class.")
    tune: bool = knob(False, "First measure what runs this model fastest on this device, and remember it.")
    decode: Decode = knob("cpu", "gpu: plain JPEGs on the GPU; what that changes is measured and said.")
    engine: Engine = knob("local", "ray: on a cluster, that of $RAY_ADDRESS or one that is started here.")
    restart: bool = knob(False, "Begin anew, whatever an unfinished prediction left there.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, PredictConfig)
        if self.tune and self.engine == "ray":
            raise ConfigError("--tune measures this machine, and --engine ray runs on others; leave one out")
        if self.decode == "gpu" and (self.engine == "ray" or self.device == "cpu"):
            other = "--engine ray" if self.engine == "ray" else "--device cpu"
            raise ConfigError(f"--decode gpu needs the GPU of this machine, and {other} uses none; leave one out")
        if self.sample and not self.use_sample:
            raise ConfigError("--sample and --no-sample contradict each other; leave one out")
        require_file_name("--out", self.out)
        if self.probabilities:
            require_file_name("--probabilities", self.probabilities)
        elif self.top_k is not None:
            raise ConfigError("--top-k is about --probabilities; give that too")
        beside = (bad_list(self.out), progress_file(self.out))
        outputs = [path.resolve() for path in (self.out, *beside, self.probabilities) if path]
        inputs = [path.resolve() for path in (self.source, self.sample, self.truth, *self.model) if path]
        if both := set(outputs) & set(inputs):
            raise ConfigError(f"{both.pop()} is read and would be overwritten; give another --out")
        if len(set(outputs)) < len(outputs):
            raise ConfigError(f"--probabilities {self.probabilities} is written by --out too; give another name")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ReportConfig):
    """What `lab evaluate` is asked for."""

    data: Path | None = None
    """A data set in any layout; None: the images that the model's run set apart for validation."""
    split: Split | None = knob(
        None,
        "Which of the data set's splits; of a run's own images, valid.",
        default_text="the first of test, valid, train",
    )
    model: Path | None = knob(None, MODEL, short="-m", default_text=NEWEST)
    device: Device = knob("auto", HONEST)
    batch_size: int = knob(64, BATCH, above=0, maximum=MOST_BATCH, short="-b")
    out: Path | None = knob(None, "Folder of the report.", default_text="beside the model")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, EvaluateConfig)


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What `lab compare` is asked for."""

    paths: tuple[Path, ...] = ()
    """Runs and reports."""
    out: Path = knob(Path("compare"), "Folder for the pictures and the list of disagreements.")
    last: int | None = knob(None, "Draw so many last epochs of each run.", above=0, default_text="all")
    json: bool = knob(False, AS_JSON)

    def __post_init__(self) -> None:
        check(self, CompareConfig)
        if len({path.resolve() for path in self.paths}) < len(self.paths):
            raise ConfigError("one folder is given twice; give each once")


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What `lab verify` is asked for."""

    file: Path | None = None
    """An ONNX file that lab exported, or a run; None: the newest exported file below `runs`."""
    run: Path | None = knob(
        None, "The run, or the weights, that the file was made from.", default_text="the folder in which FILE lies"
    )
    data: Path | None = knob(
        None, "With --run: where its images lie now. Without: measure the accuracy on this data set with FILE alone."
    )
    device: Device = knob("auto", GATE_DEVICE)
    batch_size: int = knob(64, FULL_BATCH, above=0, maximum=MOST_BATCH, short="-b")
    gate_images: int | None = knob(None, GATE_IMAGES, above=0, default_text="all")

    def __post_init__(self) -> None:
        check(self, VerifyConfig)

"""SUBMISSION.prediction.json, beside the CSV of `lab predict`: how it was made, for `lab reproduce`.

It has a file of its own because there is no other place for it: the progress file is deleted at the end, a report is
written only where the true labels are known, and the CSV has Kaggle's form. It contains no time, so that a prediction
that is repeated writes the same bytes.
"""

import glob
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from infer.config import PredictConfig, ReportConfig
from infer.core.cpu import cores
from infer.core.environment import environment
from infer.core.errors import ConfigError, DataError, ModelError
from infer.core.file_sets import FileSet
from infer.core.files import sha256_of
from infer.core.knob import from_toml
from infer.core.output_paths import record_file
from infer.core.parse import parse_json
from infer.core.remote import Remote, uri_of
from infer.images.archive import File, Member
from infer.images.upload import Upload
from infer.model.card_checks import check_text
from infer.pipeline.fingerprint import devices, versions
from infer.prediction_job import Job
from infer.tables.inputs import STANDARD_INPUT, Inputs
from infer.tables.submission import find_sample, probabilities_form

VERSION = 1
NOT_OPTIONS = {
    *("out", "probabilities", "model", "sample", "use_sample", "truth", "tune", "restart"),
    *(item.name for item in fields(ReportConfig) if item.name != "raw_csv"),
}
"""Fields of PredictConfig that are not among the recorded options: the record has them elsewhere, or they change no
row."""


@dataclass(frozen=True)
class RecordedFile:
    """A file that a prediction has read or written."""

    path: str
    sha256: str
    probability_columns: tuple[int, ...] = ()
    """Of an output: its columns with probabilities, counted from 0; the others hold text and marks."""

    @property
    def is_there(self) -> bool:
        """Whether the file is still what it was. Raises OSError where it cannot be read."""
        return Path(self.path).is_file() and sha256_of(Path(self.path)) == self.sha256


@dataclass(frozen=True)
class PredictionRecord:
    """How a prediction was made."""

    options: Mapping[str, Any]
    """Fields of PredictConfig, with the device and the runtime that `auto` chose."""
    models: tuple[RecordedFile, ...]
    sample: RecordedFile | None
    """The sample submission that was followed."""
    images: int
    """Number of images."""
    images_sha256: str
    """Over their names in the CSV and their sizes, in order."""
    csv: RecordedFile
    probabilities: RecordedFile | None
    environment: Mapping[str, str]

    def config(self, changes: Mapping[str, Any]) -> PredictConfig:
        """The config that repeats the prediction, without a report's pictures. Raises ConfigError."""
        models = [model.path for model in self.models]
        sample = {"sample": self.sample.path} if self.sample else {"use_sample": False}
        values = {**self.options, "model": models, **sample, "pictures": False, "thumbnails": 0, **changes}
        return PredictConfig(**from_toml(PredictConfig, values))  # type: ignore[arg-type]

    def check(self, job: Job) -> None:
        """Check that a prediction has the same models, sample and images. Raises ModelError, DataError."""
        for model, session in zip(self.models, job.sessions, strict=False):
            if session.file_sha256 != model.sha256:
                raise ModelError(f"{session.path} is not the file that predicted; give that one with --model")
        if len(self.models) != len(job.sessions):
            raise ModelError(f"{len(self.models)} models predicted, got {len(job.sessions)}; repeat --model for each")
        if self.sample and not self.sample.is_there:
            raise DataError(f"{self.sample.path} has changed since the prediction; restore it")
        images = len(job.inputs.names)
        if self.images != images:
            raise DataError(f"there are {images} images, {self.images} were predicted; give those with --data")
        if self.images_sha256 != images_sha256(job.inputs):
            raise DataError("images have other names or sizes than those predicted; give those with --data")


def images_sha256(inputs: Inputs) -> str:
    """SHA-256 over name and size of each image, in order, in hexadecimal."""
    digest = hashlib.sha256()
    for name, file in zip(inputs.names, inputs.files, strict=True):
        digest.update(f"{name}\0{_size(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _size(file: File) -> str:
    """The size in bytes as text, in an archive with the checksum; "" where it is not known."""
    if isinstance(file, Member):
        return f"{file.size} {file.crc}"
    try:
        return "" if isinstance(file, Remote | Upload) else str(os.stat(file).st_size)
    except OSError:
        return ""


def write_record(files: FileSet, job: Job) -> None:
    """Add the record of a prediction to the set of its files, whose CSVs are complete. Raises OutputError."""
    content = {"version": VERSION, **asdict(_record(files, job))}
    files.write_text(record_file(job.config.out), json.dumps(content, indent=2, default=str) + "\n")


def _record(files: FileSet, job: Job) -> PredictionRecord:
    config, form, probabilities = job.config, job.form, None
    sample = config.sample or (find_sample(config.source) if config.use_sample else None)
    if path := config.probabilities:
        columns = probabilities_form(form, job.card.classes, config.top_k).probability_columns
        probabilities = RecordedFile(_absolute(path), files.sha256(path), tuple(columns))
    return PredictionRecord(
        options=_options(job),
        models=tuple(RecordedFile(_absolute(session.path), session.file_sha256) for session in job.sessions),
        sample=RecordedFile(_absolute(sample), sha256_of(sample)) if sample else None,
        images=len(job.inputs.names),
        images_sha256=images_sha256(job.inputs),
        csv=RecordedFile(_absolute(config.out), files.sha256(config.out), tuple(form.probability_columns)),
        probabilities=probabilities,
        environment={
            **environment(()),
            **dict(text.split(" ", 1) for text in versions(config, job.sessions)),
            "device": devices(config, job.sessions),
            "threads": str(cores()),
        },
    )


def _options(job: Job) -> dict[str, Any]:
    config, providers = job.config, [session.provider for session in job.sessions]
    options = {item.name: getattr(config, item.name) for item in fields(config) if item.name not in NOT_OPTIONS}
    rows = {"device": {row.device for row in providers}, "runtime": {row.runtime for row in providers}}
    # where auto chose several, one for each model, it is to choose again
    chosen = {name: row for name, (row, *others) in rows.items() if not others} if config.engine == "local" else {}
    about_truth = {"label_column": ""} if config.truth else {}
    return {**options, **chosen, **about_truth, "source": _absolute_source(config.source)}


def _absolute_source(source: Path) -> str:
    """INPUT as text that means the same in any folder; what is special in the working folder's name is escaped."""
    if str(source) == STANDARD_INPUT:
        return STANDARD_INPUT
    path = _absolute(source)
    if uri_of(source) or os.path.exists(path) or source.is_absolute() or not glob.has_magic(os.getcwd()):
        return path
    return os.path.join(glob.escape(os.getcwd()), source)


def _absolute(path: Path) -> str:
    return uri_of(path) or os.path.abspath(path)


def read_record(csv: Path) -> PredictionRecord:
    """Read the record beside a CSV.

    Raises:
        DataError: there is none, it is damaged, or a later version of lab wrote it.
    """
    path = record_file(csv)
    if not csv.is_file():
        raise DataError(f"{csv} does not exist; name a run's folder, or a CSV that lab predict wrote")
    if not path.is_file():
        raise DataError(f"there is no {path.name} beside {csv}, which says how it was predicted; predict again")
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content.pop("version") != VERSION or set(content["options"]) - {item.name for item in fields(PredictConfig)}:
            raise DataError(f"{path} was written by a later version of lab; use that one")
        if not all(isinstance(content[name], dict) for name in ("options", "environment")):
            raise TypeError("its options and its environment must be objects")
        written = {name: _read_file(content[name]) for name in ("sample", "probabilities") if content[name] is not None}
        required = {"csv": _read_file(content["csv"]), "models": tuple(map(_read_file, content["models"]))}
        if (made := Path(content["csv"]["path"])).suffix != csv.suffix and not uri_of(made):
            raise DataError(f"{path} is of {made.name}, not of {csv.name}; predict again")
        check_text("its source", content["options"]["source"])
        os.fsencode(json.dumps(content, ensure_ascii=False))  # a ValueError where a text cannot be a path
        return PredictionRecord(**{**content, **written, **required})
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error}); predict again") from error


def require_own_record(out: Path) -> None:
    """Raises ConfigError where record and report beside a CSV to write are those of a CSV of another suffix."""
    path = record_file(out)
    if uri_of(out) or not path.is_file():
        return
    try:
        other = out.with_name(Path(parse_json(path.read_text(encoding="utf-8"))["csv"]["path"]).name)
    except (OSError, ValueError, LookupError, TypeError):  # a damaged record is replaced
        return
    if other.name != out.name and other.is_file():
        raise ConfigError(
            f"--out {out} would replace {path.name}, which is of {other.name}, and its report; give a name that "
            f"differs before the suffix, or delete {other.name}"
        )


def _read_file(values: dict[str, Any]) -> RecordedFile:
    check_text("a path and a sha256", values["path"], values["sha256"])
    return RecordedFile(values["path"], values["sha256"], tuple(values["probability_columns"]))

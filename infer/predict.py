"""`lab predict`: images to a Kaggle CSV; where the truth is known, to a report beside it as well."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from infer.card import ModelCard
from infer.errors import ConfigError, DataError, ImageError, listed
from infer.files import csv_text, write_text
from infer.inputs import Inputs, read_inputs, read_truth, to_indices
from infer.pipeline import classify, read_ahead
from infer.pixels import read_window
from infer.runs import find_model, newest_model
from infer.screen import Screen
from infer.session import Device, Floats, Session
from infer.submission import Form, find_sample, plain_form, probabilities_form, sample_form, writing_csv

if TYPE_CHECKING:
    from infer.metrics import EvaluationResult, Metrics

BadImages = Literal["fail", "skip", "guess"]
Normalize = Literal["true", "pred", "all", "none"]


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
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size must be above 0, got {self.batch_size}")
        if self.sample and not self.use_sample:
            raise ConfigError("--sample and --no-sample contradict each other; leave one out")
        read = [path.resolve() for path in (self.source, self.sample, self.truth, self.model) if path]
        if self.out.resolve() in read or (self.probabilities and self.probabilities.resolve() in read):
            raise ConfigError("an output would overwrite one of the files that are read; give another --out")
        outputs = [self.out, bad_list(self.out), *([self.probabilities] if self.probabilities else [])]
        if len({path.resolve() for path in outputs}) < len(outputs):
            raise ConfigError(f"--probabilities and --out are both {self.out}; give two names")


@dataclass(frozen=True)
class Prediction:
    """What `lab predict` made."""

    written: int
    """Rows in the CSV."""
    bad: tuple[ImageError, ...]
    result: "EvaluationResult | None" = None
    metrics: "Metrics | None" = None


def bad_list(out: Path) -> Path:
    """Where the images that could not be read are listed: beside the CSV."""
    return out.with_suffix(".bad.csv")


def report_folder(out: Path) -> Path:
    """Where the report of a prediction goes: beside the CSV."""
    return out.with_suffix(".report")


def open_model(path: Path | None, device: Device, screen: Screen) -> Session:
    """Open the model that was named, or the newest, and say which, on what, and why. Raises ModelError, DeviceError."""
    session = Session(find_model(path) if path else newest_model(), device)
    why = f" ({session.reason})" if session.reason else ""
    card = session.card
    screen.say(f"model: {session.path}, {card.architecture} {card.precision}, trained on {card.trained_on}")
    screen.say(f"device: {session.provider}{why}")
    return session


def predict(config: PredictConfig, screen: Screen) -> Prediction:
    """Predict every image of the source and write the CSVs, and the report where the truth is known.

    Raises:
        LabError: see the tree; nothing has been written then.
    """
    session = open_model(config.model, config.device, screen)
    inputs = read_inputs(config.source, session.card.classes)
    form = _form(config, inputs, session.card, screen)
    inputs = _in_order(inputs, form.order)
    truth = _truth(config, inputs, session.card)
    rows = _write_rows(config, session, inputs, form, keep=truth is not None, screen=screen)
    prediction = Prediction(rows.written, tuple(error for _, error in rows.bad))
    if truth is None or not rows.places:
        return prediction
    from infer.metrics import EvaluationResult
    from infer.report import save_report

    result = EvaluationResult(
        title=f"{config.source} (truth: {config.truth or inputs.labels_from}), trained on {session.card.trained_on}",
        classes=session.card.classes,
        ordered=session.card.ordered,
        paths=tuple(inputs.names[place] for place in rows.places),
        truth=truth[rows.places],
        probabilities=np.stack(rows.probabilities),
    )
    return replace(prediction, result=result, metrics=save_report(result, report_folder(config.out), config.normalize))


@dataclass
class _Rows:
    """What came of writing the CSVs; places and probabilities are kept only where a report follows."""

    written: int = 0
    bad: list[tuple[int, ImageError]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    probabilities: list[Floats] = field(default_factory=list)


def _write_rows(
    config: PredictConfig, session: Session, inputs: Inputs, form: Form, keep: bool, screen: Screen
) -> _Rows:
    """Run the images and write each row as its answer comes; the files appear at the end, all or none."""
    card, rows = session.card, _Rows()
    every = probabilities_form(form, card.classes)
    answers = classify(session, inputs.files, config.batch_size, say=screen.say)
    with contextlib.ExitStack() as files, screen.bar("predicting", len(inputs.files)) as bar:
        writers = [(form, files.enter_context(writing_csv(config.out, form.header)))]
        if config.probabilities:
            writers.append((every, files.enter_context(writing_csv(config.probabilities, every.header))))
        for place, answer in enumerate(answers):
            bar.step(place + 1)
            probabilities = answer.probabilities
            if answer.error:
                rows.bad.append((place, answer.error))
                if config.bad_images == "fail":
                    raise _bad_images_error(place, answer.error, inputs, card)
                if config.bad_images == "guess":
                    probabilities = np.eye(len(card.classes), dtype=np.float32)[card.most_frequent]
            if probabilities is None:
                continue
            for shape, write in writers:
                write(shape.row(place, probabilities, card.classes))
            rows.written += 1
            if keep:
                rows.places.append(place)
                rows.probabilities.append(probabilities)
        _write_bad(config.out, form, rows.bad)
    return rows


def _form(config: PredictConfig, inputs: Inputs, card: ModelCard, screen: Screen) -> Form:
    sample = config.sample or (find_sample(config.source) if config.use_sample else None)
    if sample is None:
        return plain_form(inputs)
    screen.say(f"ids and order: {sample}")
    return sample_form(sample, inputs, card.classes)


def _in_order(inputs: Inputs, order: Sequence[int]) -> Inputs:
    labels = [inputs.labels[position] for position in order] if inputs.labels else None
    names = [inputs.names[position] for position in order]
    return replace(inputs, names=names, files=[inputs.files[position] for position in order], labels=labels)


def _truth(config: PredictConfig, inputs: Inputs, card: ModelCard) -> np.ndarray | None:
    if config.truth:
        return np.array(to_indices(read_truth(config.truth, inputs), card.classes, str(config.truth)))
    if inputs.labels and all(inputs.labels):
        return np.array(to_indices(inputs.labels, card.classes, str(config.source)))
    return None


def _bad_images_error(place: int, first: ImageError, inputs: Inputs, card: ModelCard) -> DataError:
    """After the first bad image: look at the rest without running the network, so that all are named at once."""
    rest = read_ahead(inputs.files[place + 1 :], lambda file: read_window(file, card.pixels))
    bad = [first, *(image for image in rest if isinstance(image, ImageError))]
    return DataError(
        f"{len(bad)} of {len(inputs.files)} images cannot be read, so nothing was written: "
        f"{listed([str(error) for error in bad], 3)}; repair them, or give --bad-images skip or guess"
    )


def _write_bad(out: Path, form: Form, bad: Sequence[tuple[int, ImageError]]) -> None:
    """List the bad images beside the CSV; a list that an earlier prediction left there goes."""
    if bad:
        rows = [(form.ids[place], error.path, error.reason) for place, error in bad]
        write_text(bad_list(out), csv_text([("ID", "path", "reason"), *rows]))
    else:
        bad_list(out).unlink(missing_ok=True)

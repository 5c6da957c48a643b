"""`lab predict`: images to a Kaggle CSV; where the truth is known, to a report beside it as well."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infer.config import PredictConfig
from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.core.errors import ConfigError, DataError, ImageError
from infer.core.output_paths import progress_file, report_folder
from infer.core.remote import display_path, require_reachable, uri_of
from infer.core.text import listed
from infer.dataset.class_labels import to_indices, unknown_labels
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import read_window
from infer.images.tta import COUNTS, averaged_in_words
from infer.model.card import ModelCard
from infer.model.open_models import open_models
from infer.model.session import Session
from infer.pipeline.engine import answers_of
from infer.reports.files import remove_report
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import read_groups, read_truth
from infer.tables.row_writers import require_parquet, writing, writing_csv
from infer.tables.submission import Form, find_sample, plain_form, probabilities_form, sample_form, write_bad

if TYPE_CHECKING:
    from infer.metrics.metrics import Metrics
    from infer.metrics.result import EvaluationResult


@dataclass(frozen=True)
class Prediction:
    """What `lab predict` made."""

    written: int
    """Rows in the CSV."""
    bad: tuple[ImageError, ...]
    result: "EvaluationResult | None" = None
    metrics: "Metrics | None" = None

    def to_json(self, out: Path) -> dict[str, Any]:
        """For machines: the CSV at `out`, its rows, images that cannot be read, and the report where there is one."""
        told = {"csv": display_path(out), "rows": self.written, "unreadable": [error.path for error in self.bad]}
        if self.result is None or self.metrics is None:
            return told
        from infer.reports.report import report_json

        return {**told, "report": display_path(report_folder(out)), **report_json(self.result, self.metrics)}


def predict(config: PredictConfig, screen: Screen) -> Prediction:
    """Predict every image of the source and write the CSVs, and the report where the truth is known.

    Raises:
        LabError: see the tree; nothing has been written then.
    """
    if config.probabilities:
        require_parquet("--probabilities", config.probabilities)
    sessions = open_models(config, screen)
    session = sessions[0]
    if config.top_k and config.top_k > len(session.card.classes):
        raise ConfigError(f"--top-k {config.top_k}: the model has {len(session.card.classes)} classes; give fewer")
    inputs = read_inputs(config.source, session.card.classes, config.image_column)
    _spare_inputs(config, inputs, sessions)
    form = _form(config, inputs, session.card, screen)
    inputs = _in_order(inputs, form.order)
    truth = _truth(config, inputs, session.card, screen)
    groups = read_groups(config.truth, inputs) if config.truth else inputs.groups
    rows = _write_rows(config, sessions, inputs, form, keep=truth is not None, screen=screen)
    if config.min_confidence is not None:
        limit = f"{config.min_confidence:g}"
        screen.say(f"reject: {rows.rejected} of {rows.written} images, whose best probability is below {limit}")
    prediction = Prediction(rows.written, tuple(error for _, error in rows.bad))
    if truth is None:
        remove_report(report_folder(config.out))  # of an earlier prediction, whose CSV this one has replaced
        return prediction
    result, metrics = _report(config, sessions, inputs, rows, truth, groups, screen)
    return replace(prediction, result=result, metrics=metrics)


@dataclass
class _Rows:
    """What came of writing the CSVs; places and probabilities are kept only where a report follows."""

    written: int = 0
    rejected: int = 0
    bad: list[tuple[int, ImageError]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    probabilities: list[Floats] = field(default_factory=list)


def _write_rows(
    config: PredictConfig, sessions: Sequence[Session], inputs: Inputs, form: Form, keep: bool, screen: Screen
) -> _Rows:
    """Run the images and write each row as its answer comes; the files appear at the end, all or none."""
    card, rows = sessions[0].card, _Rows()
    every = probabilities_form(form, card.classes, config.top_k)
    form = form.with_reject(config.min_confidence)
    answers = answers_of(config, sessions, inputs, screen)
    with contextlib.ExitStack() as files, screen.bar("predicting", len(inputs.files)) as bar:
        files.enter_context(contextlib.closing(answers))
        writers = [(form, files.enter_context(writing_csv(config.out, form.header)))]
        if config.probabilities:
            writers.append((every, files.enter_context(writing(config.probabilities, every.header))))
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
                write(shape.row(place, probabilities, card.classes, guessed=answer.error is not None))
            rows.written += 1
            rows.rejected += answer.error is not None or float(probabilities.max()) < (config.min_confidence or 0)
            if keep and not answer.error:  # a guess is not the model's
                rows.places.append(place)
                rows.probabilities.append(probabilities)
        if len(rows.bad) == len(inputs.files):
            raise DataError(f"none of the {len(rows.bad)} images can be read: {rows.bad[0][1]}; nothing was written")
        write_bad(config.out, form, rows.bad)
    progress_file(config.out).unlink(missing_ok=True)
    return rows


def _report(
    config: PredictConfig,
    sessions: Sequence[Session],
    inputs: Inputs,
    rows: _Rows,
    truth: np.ndarray,
    groups: Sequence[str],
    screen: Screen,
) -> "tuple[EvaluationResult, Metrics]":
    """Write the report on the images that could be read, beside the CSV."""
    from infer.metrics.result import EvaluationResult, unreadable_note
    from infer.reports.provenance import Origin, run_of
    from infer.reports.report import save_report
    from infer.reports.thumbnails import make_gallery

    session = sessions[0]
    known = config.truth.name if config.truth else inputs.labels_from
    alone = len(sessions) == COUNTS[config.tta] == 1
    result = EvaluationResult(
        title=f"{config.source.resolve().name} (truth: {known}), trained on {session.card.trained_on}",
        classes=session.card.classes,
        ordered=session.card.ordered,
        temperature=session.card.temperature if alone else 1.0,
        paths=tuple(inputs.names[place] for place in rows.places),
        truth=truth[rows.places],
        probabilities=np.stack(rows.probabilities),
        groups=tuple(groups[place] for place in rows.places) if groups else (),
        files=tuple(inputs.files[place] for place in rows.places),
        operating_point=session.card.operating_point if alone else None,
        notes=unreadable_note(len(rows.bad), len(inputs.names)),
    )
    origin = Origin(
        card=session.card,
        model=session.path,
        run=run_of(session.path, session.card),
        source=config.source.resolve().name,
        averaged=averaged_in_words(len(sessions), config.tta),
    )
    gallery = make_gallery(result, session.card.pixels, config, screen, session, config.batch_size)
    return result, save_report(result, report_folder(config.out), config, origin, gallery)


def _form(config: PredictConfig, inputs: Inputs, card: ModelCard, screen: Screen) -> Form:
    sample = config.sample or (find_sample(config.source) if config.use_sample else None)
    if sample is None:
        return plain_form(inputs)
    screen.say(f"ids and order: {sample}")
    return sample_form(sample, inputs, card.classes)


def _in_order(inputs: Inputs, order: Sequence[int]) -> Inputs:
    if isinstance(order, range):  # their own
        return inputs
    labels = [inputs.labels[position] for position in order] if inputs.labels else None
    names = [inputs.names[position] for position in order]
    groups = [inputs.groups[position] for position in order] if inputs.groups else ()
    files = [inputs.files[position] for position in order]
    return replace(inputs, names=names, files=files, labels=labels, groups=groups)


def _spare_inputs(config: PredictConfig, inputs: Inputs, sessions: Sequence[Session]) -> None:
    """Raises ConfigError where an output would overwrite what is read, OutputError where its URI leads nowhere."""
    sample = find_sample(config.source) if config.use_sample else None
    read = [sample, inputs.root / inputs.labels_from, *(session.path for session in sessions)]
    for out in (config.out, config.probabilities):
        if out and out.resolve() in [path.resolve() for path in read if path]:
            raise ConfigError(f"{out} is read and would be overwritten; give another name")
        if out and (uri := uri_of(out)):
            require_reachable(uri)
        alike = (file for file in inputs.files if out and isinstance(file, str) and file.endswith(out.name))
        if out and os.path.abspath(out) in map(os.path.abspath, alike):
            raise ConfigError(f"{out} is one of the images and would be overwritten; give another name")


def _truth(config: PredictConfig, inputs: Inputs, card: ModelCard, screen: Screen) -> np.ndarray | None:
    if config.truth:
        return np.array(to_indices(read_truth(config.truth, inputs), card.classes, str(config.truth)))
    if not inputs.labels:
        return None
    if strange := unknown_labels(inputs.labels, card.classes):
        screen.say(f"no report: {inputs.labels_from} has the labels {listed(strange)}, which the model does not know")
        return None
    return np.array(to_indices(inputs.labels, card.classes, str(config.source)))


def _bad_images_error(place: int, first: ImageError, inputs: Inputs, card: ModelCard) -> DataError:
    """After the first bad image: look at the rest without running the network, so that all are named at once."""
    rest = read_ahead(inputs.files[place + 1 :], lambda file: read_window(file, card.pixels))
    bad = [first, *(image for image in rest if isinstance(image, ImageError))]
    return DataError(
        f"{len(bad)} of {len(inputs.files)} images cannot be read, so nothing was written: "
        f"{listed([str(error) for error in bad], 3)}; repair them, or give --bad-images skip or guess"
    )

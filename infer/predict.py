"""`lab predict`: images to a CSV for Kaggle and, where the true labels are known, a report beside it."""

import contextlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from infer.config import PredictConfig
from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.core.errors import DataError, ImageError
from infer.core.exclusive import exclusive
from infer.core.file_sets import FileSet, file_set
from infer.core.output_paths import progress_file, report_folder
from infer.core.text import listed
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import read_window
from infer.images.tta import COUNTS, averaging_text
from infer.model.open_models import run_by
from infer.pipeline.batches import Decoder
from infer.pipeline.classify import Ensemble, ImagePrediction, classify
from infer.pipeline.fingerprint import Fingerprint
from infer.pipeline.resume import Progress
from infer.predict_result import PredictResult
from infer.prediction_job import Job, prepare
from infer.prediction_record import require_own_record, write_record
from infer.reports.files import remove_report
from infer.tables.labels import Labels
from infer.tables.row_writers import open_writer, writer_for
from infer.tables.submission import probabilities_form, write_bad

if TYPE_CHECKING:
    from infer.metrics.metrics import Metrics
    from infer.metrics.result import EvaluationResult

    _Report = tuple[EvaluationResult, Metrics]


def predict(config: PredictConfig, screen: Screen, check: Callable[[Job], None] = lambda job: None) -> PredictResult:
    """Predict every image of INPUT and write the CSVs and, where the true labels are known, the report.

    Args:
        config: the prediction.
        screen: what the user sees.
        check: is called before the first image is read, and raises LabError where the prediction is not to be made.

    Raises:
        LabError: any subclass; no CSV has been written then.
    """
    written = (progress_file(config.out), config.out, *([config.probabilities] if config.probabilities else []))
    with exclusive(*written):
        require_own_record(config.out)
        job = prepare(config, screen)
        check(job)
        return _predict_alone(job)


def _predict_alone(job: Job) -> PredictResult:
    """Predict while no other process writes the same files. Raises LabError."""
    config, screen = job.config, job.screen
    rows, report = _predict_rows(job)
    if config.min_confidence is not None:
        limit = f"{config.min_confidence:g}"
        screen.say(f"reject: {rows.rejected} of {rows.written} images, with a largest probability below {limit}")
    prediction = PredictResult(rows.written, tuple(error for _, error in rows.bad), job.changed)
    return replace(prediction, result=report[0], metrics=report[1]) if report else prediction


@dataclass
class _Rows:
    """Counts of the rows written and, where a report follows, the predictions that it needs."""

    written: int = 0
    rejected: int = 0
    bad: list[tuple[int, ImageError]] = field(default_factory=list)
    """The index and the error of each unreadable image."""
    readable: list[int] = field(default_factory=list)
    probabilities: list[Floats] = field(default_factory=list)
    """The probabilities [K] of each of the `readable` images."""


def _predict_rows(job: Job) -> "tuple[_Rows, _Report | None]":
    """Predict the images and write all files; an interrupted prediction leaves a progress file and is resumed."""
    config, inputs = job.config, job.inputs
    decoder = None
    if config.decode == "gpu":
        from infer.pipeline.decoder_comparison import open_compared_decoder

        decoder = open_compared_decoder(job.sessions, inputs.files, config.batch_size, config.tta, job.screen)
    ensemble = Ensemble(job.sessions, len(inputs.files), config.batch_size, config.tta, job.screen.say)
    fingerprint, size = Fingerprint(config, job.sessions, inputs), ensemble.images_per_batch
    classes = len(job.card.classes)
    progress = Progress(progress_file(config.out), fingerprint, inputs.files, size, classes, job.screen.say)
    if config.restart:
        progress.delete()
    with progress, contextlib.closing(_predictions(job, ensemble, decoder, progress)) as predictions:
        rows, report = _write_files(job, predictions)
    progress.delete()
    if decoder:
        job.screen.say(decoder.summary())
    return rows, report


def _predictions(
    job: Job, ensemble: Ensemble, decoder: Decoder | None, progress: Progress
) -> Generator[ImagePrediction, None, None]:
    """Yield a prediction for each image, in order; those in the progress file first."""
    yield from progress.saved()
    files = job.inputs.files[progress.count :]
    if job.config.engine == "ray":
        from infer.pipeline.ray_engine import classify_on_cluster

        predictions = classify_on_cluster(ensemble, files, job.config.device, job.config.runtime)
    else:
        predictions = classify(ensemble, files, decoder)
    yield from progress.saving(predictions)


def _write_files(job: Job, predictions: Iterable[ImagePrediction]) -> "tuple[_Rows, _Report | None]":
    """Write the CSVs, the list of unreadable images and the report; all files appear at the end, or none."""
    with file_set(job.config.out) as files:
        rows = _write_rows(job, predictions, files)
        write_bad(files, job.config.out, job.form, rows.bad, job.config.raw_csv)
        write_record(files, job)
        if job.truth is not None:
            return rows, _report(job, job.truth, rows, files)
        remove_report(files, report_folder(job.config.out))  # of an earlier prediction, whose CSV this one replaces
        return rows, None


def _write_rows(job: Job, predictions: Iterable[ImagePrediction], files: FileSet) -> _Rows:
    """Write a row for each prediction as it comes."""
    config, classes, rows = job.config, job.card.classes, _Rows()
    outputs = [(config.out, job.form.with_reject(config.min_confidence))]
    if config.probabilities:
        outputs.append((config.probabilities, probabilities_form(job.form, classes, config.top_k)))
    with contextlib.ExitStack() as stack, job.screen.bar("predicting", len(job.inputs.files)) as bar:
        writers = [
            (form, stack.enter_context(open_writer(writer_for(path), files, path, form.header, config.raw_csv)))
            for path, form in outputs
        ]
        for index, prediction in enumerate(predictions):
            bar.step(index + 1)
            probabilities, unreadable = prediction.probabilities, prediction.error is not None
            if prediction.error:
                rows.bad.append((index, prediction.error))
                probabilities = _substitute(job, index, prediction.error)
            if probabilities is None:
                continue
            for form, writer in writers:
                writer.write(form.row(index, probabilities, classes, guessed=unreadable))
            rows.written += 1
            rows.rejected += unreadable or float(probabilities.max()) < (config.min_confidence or 0)
            if job.truth is not None and not unreadable:
                rows.readable.append(index)
                rows.probabilities.append(probabilities)
        if len(rows.bad) == len(job.inputs.files):
            raise DataError(f"none of the {len(rows.bad)} images can be read: {rows.bad[0][1]}; nothing was written")
    return rows


def _substitute(job: Job, index: int, error: ImageError) -> Floats | None:
    """The probabilities that --bad-images writes for an unreadable image: 1 for the most frequent class; None: no row.

    Raises:
        DataError: it is `fail`; all later images are decoded first, so that the message counts every unreadable one.
    """
    if job.config.bad_images == "skip":
        return None
    if job.config.bad_images == "guess":
        guess = np.zeros(len(job.card.classes), dtype=np.float32)
        guess[job.card.most_frequent] = 1
        return guess
    files = job.inputs.files
    later = read_ahead(files[index + 1 :], lambda file: read_window(file, job.card.pixels))
    errors = [str(item) for item in (error, *later) if isinstance(item, ImageError)]
    raise DataError(
        f"{len(errors)} of {len(files)} images cannot be read, so nothing was written: {listed(errors, 3)}; "
        "repair them, or give --bad-images skip or guess"
    )


def _report(job: Job, truth: Labels, rows: _Rows, files: FileSet) -> "_Report":
    """Write the report on the readable images beside the CSV."""
    from infer.metrics.result import EvaluationResult, unreadable_note
    from infer.reports.provenance import Origin, run_of
    from infer.reports.report import add_report
    from infer.reports.thumbnails import make_gallery

    config, inputs, card, session = job.config, job.inputs, job.card, job.sessions[0]
    truth_source = config.truth.name if config.truth else inputs.labels_from
    is_averaged = len(job.sessions) * COUNTS[config.tta] > 1
    result = EvaluationResult(
        title=f"{config.source.resolve().name} (truth: {truth_source}), trained on {card.trained_on}",
        classes=card.classes,
        ordered=card.ordered,
        temperature=1.0 if is_averaged else card.temperature,
        paths=tuple(inputs.names[index] for index in rows.readable),
        truth=truth[rows.readable],
        probabilities=np.stack(rows.probabilities),
        groups=tuple(job.groups[index] for index in rows.readable) if job.groups else (),
        files=tuple(inputs.files[index] for index in rows.readable),
        operating_point=None if is_averaged else card.operating_point,
        notes=(*job.changed, *unreadable_note(len(rows.bad), len(inputs.names))),
        run_by=run_by(job.sessions, config),
    )
    origin = Origin(
        card=card,
        model=session.path,
        run=run_of(session.path, card),
        source=config.source.resolve().name,
        averaged=averaging_text(len(job.sessions), config.tta),
    )
    gallery = make_gallery(result, card.pixels, config, job.screen, session, config.batch_size)
    return result, add_report(files, result, report_folder(config.out), config, origin, gallery)

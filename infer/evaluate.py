"""`lab evaluate`: predict a labelled split with an exported model, and write a report."""

from dataclasses import replace
from pathlib import Path

from infer.config import EvaluateConfig
from infer.core.console import Screen
from infer.core.exclusive import exclusive
from infer.core.formulas import tell_formulas
from infer.core.output_paths import require_inputs_kept
from infer.dataset.held_out import choose_split, labelled_images, run_table
from infer.dataset.source import read_table
from infer.dataset.table import TEST, TRAIN, VALID
from infer.images.survey import survey
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard
from infer.model.open_models import open_model
from infer.model.seal import changed_notes
from infer.pipeline.classify_table import classify_table
from infer.reports.files import report_files
from infer.reports.provenance import Origin, run_of
from infer.reports.report import save_report
from infer.reports.thumbnails import make_gallery


def evaluate(config: EvaluateConfig, screen: Screen) -> tuple[EvaluationResult, Metrics, Path]:
    """Predict a labelled split and write its report.

    Returns:
        The predictions with their true labels, the metrics, and the report's folder.

    Raises:
        LabError: any subclass; no report has been written then.
    """
    accept = config.accept_changed
    session = open_model(config.model, config.device, config.runtime, screen, accept_changed=accept)
    card = session.card
    own = config.data is None and config.labels is None
    table = (
        read_table(config.data, options=config, screen=screen)
        if config.data or config.labels
        else run_table(session.path.parent, card, screen=screen)
    )
    split = config.split or choose_split(table, (VALID, TEST) if own else (TEST, VALID, TRAIN))
    images = labelled_images(table, split, card.classes, screen)
    for note in survey(images.files()).notes(card.pixels.bits, card.pixels.dicom_window):
        screen.say(note)
    own = own or table.fingerprint() == card.provenance.get("data", {}).get("fingerprint")
    folder = config.out or session.path.parent / f"report-{table.name}-{split}"
    require_inputs_kept((config.data, config.labels), (folder / name for name in report_files()))
    origin = Origin(
        card=card,
        model=session.path,
        run=run_of(session.path, card),
        source=table.name,
        layout=table.layout,
        split=split,
        own=own,
    )
    with exclusive(folder):
        result = classify_table(session, images, config.batch_size, f"{split} split of {table.name}", screen)
        result = replace(
            result, notes=(*changed_notes([session.seal]), *_notes_on_reuse(split, own, card), *result.notes)
        )
        tell_formulas(screen, result.names, config.raw_csv)
        gallery = make_gallery(result, card.pixels, config, screen, session, config.batch_size)
        return result, save_report(result, folder, config, origin, gallery), folder


def _notes_on_reuse(split: str, own: bool, card: ModelCard) -> tuple[str, ...]:
    """Notes on images that were used to make the model, whose figures are then too good; `own`: this is certain."""
    if split == TRAIN:
        return ("the model may have been trained on these very images; then all figures are better than on new ones",)
    if split != VALID:
        return ()
    chosen = "the best epoch and the threshold were chosen" if card.operating_point else "the best epoch was chosen"
    if own:
        return (f"{chosen} on these very images, so all figures are better than on new ones; evaluate a test split",)
    return (f"if {chosen} on these very images, all figures are better than on new ones; evaluate a test split",)

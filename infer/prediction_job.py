"""What `lab predict` works on: models, images and the form of the rows, checked before the first image is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.core.formulas import tell_formulas
from infer.core.output_paths import report_folder
from infer.core.remote import local_file
from infer.images.survey import survey
from infer.model.card import ModelCard
from infer.model.open_models import open_models
from infer.model.seal import changed_notes
from infer.model.session import Session
from infer.reports.files import report_files
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import Labels, find_truth
from infer.tables.row_writers import require_parquet
from infer.tables.submission import Form, check_outputs, choose_form


@dataclass(frozen=True, kw_only=True)
class Job:
    """The models, the n images in the order of the CSV's rows, and the form of these rows."""

    config: PredictConfig
    sessions: Sequence[Session]
    inputs: Inputs
    form: Form
    truth: Labels | None
    """[n] class indices of the inputs; None where they are not known, and there is no report."""
    groups: Sequence[str]
    """[n] the patient of each input; empty where not known."""
    screen: Screen

    @property
    def card(self) -> ModelCard:
        """The card of the first model; all have its classes."""
        return self.sessions[0].card

    @property
    def changed(self) -> tuple[str, ...]:
        """For each model file that was changed since its export, that it was, and how."""
        return changed_notes([session.seal for session in self.sessions])


def prepare(config: PredictConfig, screen: Screen) -> Job:
    """Open the models, list the images, and check all that can be checked before the first image is read."""
    if config.probabilities:
        require_parquet("--probabilities", config.probabilities)
    sessions = open_models(config, screen)
    classes = sessions[0].card.classes
    if config.top_k and config.top_k > len(classes):
        raise ConfigError(f"--top-k must be at most {len(classes)}, as the model has {len(classes)} classes")
    label_column = None if config.truth else config.label_column
    inputs = read_inputs(config.source, classes, config.image_column, label_column)
    if inputs.note:
        screen.say(inputs.note)
    check_outputs(config, inputs, [session.path for session in sessions])
    _require_outside_report(config)
    form = choose_form(config, inputs, classes, screen)
    labels = (item.label for item in classes)
    tell_formulas(screen, (*form.header, *form.ids, *labels), config.raw_csv)
    inputs = inputs.in_order(form.order)
    pixels = sessions[0].card.pixels
    for note in survey(inputs.files).notes(pixels.bits, pixels.dicom_window):
        screen.say(note)
    truth, groups = find_truth(config, inputs, classes, screen)
    return Job(config=config, sessions=sessions, inputs=inputs, form=form, truth=truth, groups=groups, screen=screen)


def _require_outside_report(config: PredictConfig) -> None:
    """Raises ConfigError for a file that is read or written and that the report would replace or delete."""
    folder = report_folder(config.out)
    named = {"INPUT": config.source, "--truth": config.truth, "--sample": config.sample}
    for option, path in {**named, "--probabilities": config.probabilities}.items():
        if path and local_file(path.parent) == local_file(folder) and path.name in report_files():
            raise ConfigError(f"{option} {path} is a file of the report that --out has beside it; give another name")

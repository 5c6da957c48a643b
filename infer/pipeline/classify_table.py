"""Predictions of a labelled table's images, as an evaluation result."""

import numpy as np

from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.text import left_out, listed
from infer.dataset.table import Table
from infer.metrics.result import EvaluationResult, unreadable_note
from infer.model.session import Session
from infer.pipeline.classify import Ensemble, classify


def classify_table(session: Session, table: Table, batch_size: int, name: str, screen: Screen) -> EvaluationResult:
    """Predict a table's images; unreadable ones are named on the screen and left out.

    Args:
        session: the model; its classes are those of the table's labels.
        table: the images and their labels.
        batch_size: the number of images that the device is given at once.
        name: of the images, for the report's title.
        screen: shows a progress bar and messages.

    Raises:
        DataError: none of the images can be read.
        DeviceError, ModelError: the session cannot run them.
    """
    files = table.files()
    probabilities: list[Floats] = []
    readable: list[int] = []
    errors: list[str] = []
    ensemble = Ensemble([session], len(files), batch_size, say=screen.say)
    with screen.bar("evaluating", len(files)) as bar:
        for index, prediction in enumerate(classify(ensemble, files)):
            bar.step(index + 1)
            if prediction.probabilities is None:
                errors.append(str(prediction.error))
            else:
                readable.append(index)
                probabilities.append(prediction.probabilities)
    if errors:
        screen.say(f"{left_out(len(errors))}: {listed(errors)}")
    if not readable:
        raise DataError(f"none of the {len(files)} images can be read; check {table.source}")
    return EvaluationResult(
        title=f"{name}, trained on {session.card.trained_on}",
        classes=session.card.classes,
        ordered=session.card.ordered,
        temperature=session.card.temperature,
        paths=tuple(table.paths[index] for index in readable),
        truth=table.labels[readable],
        probabilities=np.stack(probabilities),
        groups=tuple(table.groups[index] for index in readable),
        files=tuple(files[index] for index in readable),
        operating_point=session.card.operating_point,
        notes=unreadable_note(len(errors), len(files)),
        run_by=session.run_by,
    )

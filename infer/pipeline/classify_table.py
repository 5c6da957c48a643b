"""The images of a table through a session, to a result with its truth."""

import numpy as np

from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.table import Table
from infer.metrics.result import EvaluationResult, unreadable_note
from infer.model.session import Session
from infer.pipeline.classify import classify


def classify_table(session: Session, table: Table, batch_size: int, what: str, screen: Screen) -> EvaluationResult:
    """Classify the images of a table with the session's classes; those that cannot be read are left out and named.

    Raises:
        DataError: none can be read.
        DeviceError, ModelError: the session cannot run them.
    """
    files = table.files()
    probabilities: list[Floats] = []
    kept: list[int] = []
    bad: list[str] = []
    with screen.bar("evaluating", len(files)) as bar:
        for place, answer in enumerate(classify([session], files, batch_size, say=screen.say)):
            bar.step(place + 1)
            if answer.probabilities is None:
                bad.append(str(answer.error))
            else:
                kept.append(place)
                probabilities.append(answer.probabilities)
    if bad:
        screen.say(f"{len(bad)} images cannot be read and are left out: {listed(bad)}")
    if not kept:
        raise DataError(f"none of the {len(files)} images can be read; check {table.root}")
    return EvaluationResult(
        title=f"{what}, trained on {session.card.trained_on}",
        classes=session.card.classes,
        ordered=session.card.ordered,
        temperature=session.card.temperature,
        paths=tuple(table.paths[place] for place in kept),
        truth=table.labels[kept],
        probabilities=np.stack(probabilities),
        groups=tuple(table.groups[place] for place in kept),
        files=tuple(files[place] for place in kept),
        operating_point=session.card.operating_point,
        notes=unreadable_note(len(bad), len(files)),
    )

"""`lab reproduce CSV`: predict the same images again, and compare the rows."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infer.core.console import Screen
from infer.core.environment import differences
from infer.core.errors import ConfigError, ReproductionError
from infer.core.files import sha256_of
from infer.core.output_paths import record_file, require_inputs_kept
from infer.core.temporary import temporary_folder
from infer.model.providers import AUTO
from infer.predict import predict
from infer.prediction_record import PredictionRecord, RecordedFile, read_record
from infer.reproduce_config import ReproduceConfig
from infer.tables.inputs import STANDARD_INPUT
from infer.tables.row_comparison import compare_rows


def reproduce_prediction(config: ReproduceConfig, screen: Screen) -> None:
    """Predict again, into a temporary file or `--out`, and compare the rows with those of the CSV.

    Raises:
        ReproductionError: rows differ; the lines that say which have been said.
        LabError: any other subclass: models or images are others, or cannot be read.
    """
    record = read_record(config.target)
    if record.options["source"] == STANDARD_INPUT and config.data is None:
        raise ConfigError(f"the images of {config.target} came from standard input; give the list with --data")
    require_inputs_kept([Path(record.probabilities.path) if record.probabilities else None], [config.out])
    pairs = [(config.target, record.csv)]
    with _outputs(config, record) as outputs:
        screen.say(f"predicting the {record.images} images of {config.target} again")
        predict(record.config({**_changes(config), **outputs}), screen, record.check)
        new_files = [outputs["out"]]
        if record.probabilities:
            if Path(record.probabilities.path).is_file():
                pairs.append((Path(record.probabilities.path), record.probabilities))
                new_files.append(outputs["probabilities"])
            else:
                screen.say(f"note: {record.probabilities.path} is gone, and is not compared")
        lines = [
            line for (old, made), new in zip(pairs, new_files, strict=True) for line in _compared(old, made, Path(new))
        ]
        now = read_record(Path(outputs["out"])).environment
    _report(config.target, pairs, lines, differences(record.environment, now), screen)


def _changes(config: ReproduceConfig) -> dict[str, Any]:
    """What the user changed, as values of PredictConfig."""
    changes: dict[str, Any] = {"source": config.data} if config.data else {}
    changes |= {"model": config.model} if config.model else {}
    return {**changes, **({"device": config.device, "runtime": AUTO} if config.device else {})}


@contextlib.contextmanager
def _outputs(config: ReproduceConfig, record: PredictionRecord) -> Iterator[dict[str, Any]]:
    """Where the new CSVs are written, as values of PredictConfig; temporary ones are deleted."""
    with temporary_folder() as folder:
        outputs: dict[str, Any] = {"out": config.out or folder / "rows" / config.target.name}
        if record.probabilities:
            outputs["probabilities"] = folder / Path(record.probabilities.path).name
        yield outputs


def _compared(old: Path, made: RecordedFile, new: Path) -> list[str]:
    """What differs between a file that was predicted and a new one, and whether it was changed since."""
    before, now = sha256_of(old), sha256_of(new)
    if before == now:
        return []
    text = compare_rows(old, new, made.probability_columns).text()
    lines = [f"{old}: {text or 'the same rows, written in other bytes'}"]
    if before != made.sha256:
        same = ", and the new rows are those that it had" if now == made.sha256 else ""
        lines.append(f"{old} was changed after lab had written it{same}")
    return lines


def _report(
    target: Path, pairs: list[tuple[Path, RecordedFile]], lines: list[str], causes: list[str], screen: Screen
) -> None:
    """Say what is equal and what differs. Raises ReproductionError where anything differs."""
    if not lines:
        equal = [f"equal byte for byte: {old}" for old, _ in pairs]
        screen.say("\n".join([*equal, *(f"although another: {cause}" for cause in causes)]))
        return
    screen.say("\n".join([*lines, *(f"possible cause: {cause}" for cause in causes)]))
    hint = "see the possible causes above" if causes else f"nothing that {record_file(target).name} names has changed"
    raise ReproductionError(f"{target} was predicted again and is not equal: {lines[0]}; {hint}")

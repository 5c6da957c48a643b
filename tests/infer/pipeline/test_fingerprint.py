"""Which prediction it is: other images, models and options are another one; how a report looks is not."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infer.config import PredictConfig
from infer.core.errors import DataError
from infer.model.session import Session
from infer.pipeline.fingerprint import identify, identity_of
from infer.tables.inputs import Inputs, read_inputs


@pytest.fixture
def parts(model: Path, cells: Path) -> tuple[PredictConfig, Session, Inputs]:
    return PredictConfig(source=cells / "test"), Session(model, "cpu"), read_inputs(cells / "test", ())


def differing(
    parts: tuple[PredictConfig, Session, Inputs], config: PredictConfig | None = None, inputs: Inputs | None = None
) -> set[str]:
    one = identify(parts[0], [parts[1]], parts[2])
    two = identify(config or parts[0], [parts[1]], inputs or parts[2])
    return {name for name in one if one[name] != two[name]}


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"tta": "flips"}, {"options"}),
        ({"batch_size": 3}, {"options"}),
        ({"min_confidence": 0.5}, {"options"}),
        ({"engine": "ray"}, {"options", "device"}),
        ({"bad_images": "skip"}, set()),
        ({"out": Path("b.csv"), "thumbnails": 0, "json": True}, set()),
    ],
)
def test_options_that_change_answers_are_told_apart(
    parts: tuple[PredictConfig, Session, Inputs], other: dict[str, object], names: set[str]
) -> None:
    assert differing(parts, config=replace(parts[0], **other)) == names  # type: ignore[arg-type]


def test_a_cluster_on_gpus_is_not_one_on_cpus(parts: tuple[PredictConfig, Session, Inputs]) -> None:
    one, two = (replace(parts[0], engine="ray", device=device) for device in ("cpu", "cuda"))
    assert identify(one, [parts[1]], parts[2]) != identify(two, [parts[1]], parts[2])


def test_archives_and_uris_whose_images_are_called_alike_are_told_apart(
    parts: tuple[PredictConfig, Session, Inputs], tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    import zipfile

    for folder in "ab":
        save_image(tmp_path / folder / "1.png")
        with zipfile.ZipFile(tmp_path / f"{folder}.zip", "w") as archive:
            archive.write(tmp_path / folder / "1.png", "1.png")
    sources = [tmp_path / "a", tmp_path / "b", tmp_path / "a.zip", tmp_path / "b.zip"]
    sources += [Path(f"file://{tmp_path}/{folder}") for folder in "ab"]
    found = {identify(parts[0], [parts[1]], read_inputs(source, ()))["images"] for source in sources}
    assert len(found) == len(sources)


def test_a_model_that_is_replaced_meanwhile_is_refused(
    parts: tuple[PredictConfig, Session, Inputs], model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "m.onnx"
    copy.write_bytes(model.read_bytes())
    later = identity_of(parts[0], [Session(copy, "cpu")], parts[2])
    assert later()["models"]
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes() + b"x")
    os.replace(other, copy)
    with pytest.raises(DataError, match="was replaced while it was predicting"):
        later()

"""Other images, models and options give another fingerprint; the options of a report do not."""

import copy
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import onnxruntime
import PIL
import pytest

from infer.config import PredictConfig
from infer.core.errors import DataError
from infer.model.providers import OPENVINO, OPENVINO_BF16
from infer.model.session import Session
from infer.pipeline.fingerprint import Fingerprint
from infer.tables.inputs import Inputs, read_inputs


@pytest.fixture
def parts(model: Path, cells: Path) -> tuple[PredictConfig, Session, Inputs]:
    return PredictConfig(source=cells / "test"), Session(model, "cpu"), read_inputs(cells / "test", ())


def differing(
    parts: tuple[PredictConfig, Session, Inputs], config: PredictConfig | None = None, inputs: Inputs | None = None
) -> set[str]:
    first = Fingerprint(parts[0], [parts[1]], parts[2]).parts()
    second = Fingerprint(config or parts[0], [parts[1]], inputs or parts[2]).parts()
    return {name for name in first if first[name] != second[name]}


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
def test_options_that_change_predictions_change_the_fingerprint(
    parts: tuple[PredictConfig, Session, Inputs], other: dict[str, object], names: set[str]
) -> None:
    assert differing(parts, config=replace(parts[0], **other)) == names  # type: ignore[arg-type]


def test_a_cluster_on_gpus_is_not_one_on_cpus(parts: tuple[PredictConfig, Session, Inputs]) -> None:
    cpu, cuda = (replace(parts[0], engine="ray", device=device) for device in ("cpu", "cuda"))
    parts_of = [Fingerprint(config, [parts[1]], parts[2]).parts() for config in (cpu, cuda)]
    assert parts_of[0] != parts_of[1]


def test_saved_predictions_of_another_runtime_are_not_gone_on_with(
    parts: tuple[PredictConfig, Session, Inputs],
) -> None:
    config, session, inputs = parts
    other = copy.copy(session)
    other.provider, other.options = OPENVINO, OPENVINO.options
    first, second = (Fingerprint(config, [item], inputs).parts() for item in (session, other))
    assert {name for name in first if first[name] != second[name]} == {"device", "versions"}
    assert "openvino" in second["versions"]
    bf16 = copy.copy(other)
    bf16.provider, bf16.options = OPENVINO_BF16, OPENVINO_BF16.options
    assert Fingerprint(config, [bf16], inputs).parts()["device"] != second["device"]
    assert differing(parts, config=replace(config, runtime="openvino")) == set()  # what ran is what counts
    clusters = [replace(config, engine="ray", runtime=name) for name in ("auto", "onnxruntime", "openvino")]
    devices = [Fingerprint(item, [session], inputs).parts()["device"] for item in clusters]
    assert devices == ["ray, auto", "ray, auto", "ray, auto, openvino"]


def test_folders_archives_and_uris_whose_images_have_the_same_names_differ(
    parts: tuple[PredictConfig, Session, Inputs], tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    import zipfile

    for folder in "ab":
        save_image(tmp_path / folder / "1.png")
        with zipfile.ZipFile(tmp_path / f"{folder}.zip", "w") as archive:
            archive.write(tmp_path / folder / "1.png", "1.png")
    sources = [tmp_path / "a", tmp_path / "b", tmp_path / "a.zip", tmp_path / "b.zip"]
    sources += [Path(f"file://{tmp_path}/{folder}") for folder in "ab"]
    digests = {Fingerprint(parts[0], [parts[1]], read_inputs(source, ())).parts()["images"] for source in sources}
    assert len(digests) == len(sources)


def test_a_model_that_is_replaced_during_the_prediction_is_refused(
    parts: tuple[PredictConfig, Session, Inputs], model: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "m.onnx"
    copied.write_bytes(model.read_bytes())
    fingerprint = Fingerprint(parts[0], [Session(copied, "cpu")], parts[2])
    assert fingerprint.parts()["models"]
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes() + b"x")
    os.replace(other, copied)
    with pytest.raises(DataError, match="was replaced during the prediction"):
        fingerprint.parts()


def test_the_parts_are_written_as_earlier_versions_wrote_them(
    parts: tuple[PredictConfig, Session, Inputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name or order of an option would refuse the progress files of earlier versions."""
    monkeypatch.chdir("/")
    inputs = Inputs(Path("in"), ["a.png", "b.png"], ["in/a.png", "/x/b.png"])
    config = replace(parts[0], tta="flips", top_k=2, probabilities=Path("p.csv"), min_confidence=0.5)
    found = Fingerprint(config, [parts[1]], inputs).parts()
    assert list(found) == ["models", "images", "options", "device", "versions"]
    assert found["models"] == hashlib.sha256(parts[1].path.read_bytes()).hexdigest()
    assert found["images"] == f"2, {hashlib.sha256(b'/in/a.png' + bytes(1) + b'/x/b.png' + bytes(1)).hexdigest()}"
    assert found["options"] == (
        "tta=flips batch_size=64 image_column=None sample=None use_sample=True truth=None probabilities=p.csv top_k=2 "
        "min_confidence=0.5 decode=cpu engine=local"
    )
    assert found["device"] == f"CPUExecutionProvider {dict(parts[1].options)}"
    assert found["versions"] == (
        f"onnxruntime {onnxruntime.__version__}, pillow {PIL.__version__}, numpy {numpy.__version__}"
    )

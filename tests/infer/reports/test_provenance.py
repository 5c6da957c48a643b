"""The cards hold what is known, and the limits follow from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import origin, random_result

from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger
from infer.metrics.metrics import measure
from infer.model.card import read_card
from infer.reports.provenance import Origin, data_card, describe_pixels, limits, model_card, run_of, set_counts


@pytest.fixture
def exported(run: Path, model: Path) -> Origin:
    return Origin(card=read_card(model), model=model, run=run, source="cells", layout="CSVs", split="valid")


def test_a_models_run_is_its_folder_if_it_was_exported_from_there(model: Path, tmp_path: Path) -> None:
    card = read_card(model)
    assert run_of(model, card) == model.parent
    elsewhere = shutil.copy(model, tmp_path / "model.onnx")
    assert run_of(Path(elsewhere), card) is None
    shutil.copy(model.parent / "best.safetensors", tmp_path)
    assert run_of(Path(elsewhere), card) == tmp_path
    other = replace(card, provenance={**card.provenance, "weights_sha256": "0" * 64})
    assert run_of(Path(elsewhere), other) is None


def test_class_counts_come_from_the_runs_table_or_else_from_the_card(exported: Origin) -> None:
    assert {name: sum(counts) for name, counts in set_counts(exported).items()} == {"training": 24, "validation": 12}
    alone = set_counts(replace(exported, run=None))
    assert {name: sum(counts) for name, counts in alone.items()} == {"training": 24}
    assert set_counts(replace(exported, run=None, card=replace(exported.card, provenance={}))) == {}


def test_the_data_card_has_images_patients_counts_split_and_fingerprint(exported: Origin) -> None:
    facts = dict(data_card(measure(random_result(2, 20), resamples=0), exported))
    assert facts["these images"] == "20, patients unknown"
    assert facts["source"] == "cells (CSVs)"
    assert facts["training images"].startswith("24 (0 normal: ")
    assert facts["split"] == "train.csv with Path and label"
    assert "images of one patient may be in both" in facts["patients in training"]
    assert exported.card.provenance["data"]["fingerprint"] in facts["fingerprint"]


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        (("a", "b"), "2, none in more than one split"),
        (("a", "a"), "1, of whom 1 are in more than one split: accuracy may be too high"),
    ],
)
def test_patients_in_more_than_one_split_are_counted(
    exported: Origin, tmp_path: Path, groups: tuple[str, str], text: str
) -> None:
    rows = zip(("x.png", "y.png"), groups, ("train", "valid"), strict=True)
    lines = [f"{path},0,{group},{split}" for path, group, split in rows]
    (tmp_path / "data.csv").write_text("\n".join(["path,label,group,split", *lines]) + "\n")
    metrics = measure(random_result(2, 20), resamples=0)
    assert dict(data_card(metrics, replace(exported, run=tmp_path)))["patients in training"] == text


def test_the_model_card_has_the_network_its_training_and_the_parity_gate(exported: Origin) -> None:
    facts = dict(model_card(exported))
    assert "run by" not in facts
    assert dict(model_card(exported, "OpenVINO 1 in f32"))["run by"] == "OpenVINO 1 in f32"
    assert facts["network"] == "resnet18, fp32, opset 17"
    assert facts["parity gate"].startswith("passed on 12 images (CPU), labels that differ: 0")
    assert facts["weights, sha256"] == exported.card.provenance["weights_sha256"]
    assert "epochs: 2" in facts["training"]
    assert "torch" in facts["trained with"]
    assert "12 validation images, on which the epoch was chosen" in facts["best epoch"]
    averaged = dict(model_card(replace(exported, averaged="4 views of each image (flips)")))
    assert averaged["averaged"] == "4 views of each image (flips)"


def test_a_network_in_training_and_a_changed_file_say_so(exported: Origin, tmp_path: Path) -> None:
    assert dict(model_card(replace(exported, model=None)))["parity gate"].startswith("not exported yet")
    changed = tmp_path / "changed.onnx"
    changed.write_bytes((exported.model or Path()).read_bytes().replace(b"lab", b"lob", 1))
    assert "CHANGED" in dict(model_card(replace(exported, model=changed)))["parity gate"]


def test_preprocessing_is_described_step_by_step() -> None:
    spec = PixelSpec.default(224)
    wanted = "resized so that its shorter side is 256 pixels, then cropped to the centre 224 x 224 pixels, in colour"
    assert describe_pixels(spec) == wanted
    steps = (ResizeLonger(50), CenterCrop(40, 30), Resize(20, 10))
    spec = PixelSpec(steps=steps, canvas=(20, 10), window=(20, 10), reduced_decode=False)
    text = describe_pixels(spec)
    assert "its longer side is 50 pixels, then cropped to the centre 30 x 40 pixels, then resized to 10 x 20" in text


def limits_of(exported: Origin, **changes: object) -> str:
    return " ".join(limits(random_result(2, 20), replace(exported, **changes)))


def test_limits_follow_from_what_is_known(exported: Origin) -> None:
    assert "not a medical device" in limits_of(exported)
    assert "32 x 32 pixels" in limits_of(exported)
    own = limits_of(exported, own=True)
    assert "come from cells, like those that it was trained on" in own
    assert "chosen on these images" in own
    assert "may have been trained on these images" in limits_of(exported, split="train", own=True)
    elsewhere = limits_of(exported)  # of the same name: that alone proves nothing
    assert "like those that it was trained on. Expect" not in elsewhere
    assert "on these images" not in elsewhere


def test_uncalibrated_probabilities_and_unknown_patients_are_limits(exported: Origin) -> None:
    assert "are not calibrated" in limits_of(exported)
    calibrated = replace(exported.card, temperature=1.3)
    assert "are not calibrated" not in limits_of(exported, card=calibrated)
    known = replace(random_result(2, 4), groups=("a", "b", "c", "d"))
    assert "Patients are unknown" in limits_of(exported)
    assert "Patients are unknown" not in " ".join(limits(known, origin(known)))

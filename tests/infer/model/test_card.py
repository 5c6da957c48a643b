import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torchvision.transforms.functional import normalize

from infer.core.errors import ModelError
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeShorter
from infer.model.card import CARD_KEY, IMAGENET, ClassName, ModelCard, Normalization, class_index, read_card

WHITENING = Normalization((0.1, 0.2, 0.3), ((1.0, 0.5, -0.25), (0.0, 2.0, 1 / 3), (1e-7, 0.0, 3.0)))


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        architecture="resnet18",
        classes=(ClassName("normal", "007"), ClassName("grün", "1")),
        pixels=PixelSpec(
            steps=(ResizeShorter(40), CenterCrop(39, 38), Resize(37, 36)),
            canvas=(36, 36),
            window=(32, 30),
            reduced_decode=True,
        ),
        normalization=WHITENING,
        ordered=True,
        temperature=1.25,
        precision="int8",
        opset=17,
        provenance={"data": {"name": "cells", "train": [3, 9]}, "validation": {"f1": 0.1 + 0.2}},
    )


def test_a_card_comes_back_from_its_json_as_it_was(card: ModelCard) -> None:
    text = card.to_json()
    assert ModelCard.from_json(text, Path("m.onnx")) == card
    assert ModelCard.from_json(text, Path("m.onnx")).to_json() == text
    assert "\n" not in text


def test_the_order_in_which_provenance_was_filled_does_not_change_the_text(card: ModelCard) -> None:
    turned = dict(reversed(list(card.provenance.items())))
    assert replace(card, provenance=turned).to_json() == card.to_json()


def test_a_card_with_a_class_folders_undecodable_name_can_be_stored_as_utf_8(card: ModelCard) -> None:
    name = os.fsdecode(b"caf\xe9")
    odd = replace(card, classes=(ClassName(name, name), ClassName("b", "b")))
    stored = odd.to_json().encode("utf-8")
    assert ModelCard.from_json(stored.decode("utf-8"), Path("m")) == odd


def test_a_card_of_a_newer_version_asks_for_a_newer_lab(card: ModelCard) -> None:
    text = json.dumps({**json.loads(card.to_json()), "version": 99, "unknown_key": 1})
    with pytest.raises(ModelError, match=r"m\.onnx has a card of version 99.*install a newer lab"):
        ModelCard.from_json(text, Path("m.onnx"))


def test_a_card_with_fewer_bits_has_a_version_that_older_labs_refuse(card: ModelCard) -> None:
    deep = replace(card, pixels=replace(card.pixels, bits=12))
    assert json.loads(card.to_json())["version"] == 1
    assert json.loads(deep.to_json())["version"] == 2
    assert ModelCard.from_json(deep.to_json(), Path("m")) == deep


def test_a_card_says_what_its_file_takes_and_older_labs_refuse_what_they_cannot_feed(card: ModelCard) -> None:
    assert "input" not in json.loads(card.to_json())
    planes = replace(card, input="float")
    assert json.loads(planes.to_json())["version"] == 3
    assert ModelCard.from_json(planes.to_json(), Path("m")) == planes
    with pytest.raises(ModelError, match="a card's input must be one of uint8, float"):
        ModelCard.from_json(planes.to_json().replace('"float"', '"text"'), Path("m"))


def without(*keys: str) -> Callable[[dict], object]:
    def change(data: dict) -> object:
        inner = data
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return data

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("version"),
        without("classes"),
        without("pixels", "steps"),
        without("normalization", "mean"),
        lambda data: {**data, "version": "one"},
        lambda data: {**data, "unknown_key": 1},
        lambda data: {**data, "classes": [{"name": "a"}]},
        lambda data: {**data, "classes": None},
        lambda data: {**data, "pixels": {**data["pixels"], "window": [400, 400]}},
        lambda data: {**data, "pixels": {**data["pixels"], "steps": [{"kind": "sharpen"}]}},
        lambda data: {**data, "normalization": {"mean": [0, 0, 0], "matrix": [[1, 0, 0]]}},
        lambda data: {**data, "normalization": {**data["normalization"], "mean": [0, 0]}},
        lambda data: {**data, "normalization": {**data["normalization"], "per_image": "yes"}},
        lambda data: {**data, "normalization": {**data["normalization"], "mean": [0, 0, "0"]}},
        lambda data: {**data, "normalization": {**data["normalization"], "matrix": [[1, 0, 0]] * 2 + [[1, 0]]}},
        lambda data: {**data, "normalization": {**data["normalization"], "mean": [0, 0, 10**400]}},
        lambda data: {**data, "classes": [{"name": None, "label": "0"}, {"name": "b", "label": "1"}]},
        lambda data: {**data, "classes": [{"name": "a", "label": "0"}, {"name": "b", "label": 1}]},
        lambda data: {**data, "architecture": ["resnet18"]},
        lambda data: {**data, "temperature": 10**400},
        lambda data: {**data, "ordered": "yes"},
        lambda data: {**data, "opset": "17"},
        lambda data: {**data, "opset": True},
        lambda data: {**data, "pixels": {**data["pixels"], "canvas": [10**9, 10**9]}},
        lambda data: {**data, "pixels": {**data["pixels"], "steps": [{"kind": "resize", "height": 9000, "width": 8}]}},
        lambda data: {**data, "pixels": {**data["pixels"], "reduced_decode": []}},
        lambda data: {**data, "provenance": {**data["provenance"], "validation": [1]}},
        lambda data: {**data, "provenance": {**data["provenance"], "int8": 7}},
        lambda data: {**data, "provenance": {**data["provenance"], "data": {"train": {"a": 1}}}},
        lambda data: {**data, "operating_point": {"threshold": 0.5, "images": None, "groups": None}},
        lambda data: {**data, "operating_point": {"threshold": 0.5, "images": 3, "groups": False}},
        lambda data: [data],
        lambda data: None,
    ],
)
def test_a_damaged_card_is_refused(card: ModelCard, change: Callable[[dict], object]) -> None:
    with pytest.raises(ModelError, match=r"the card in m\.onnx cannot be read \(.+\); train or export again"):
        ModelCard.from_json(json.dumps(change(json.loads(card.to_json()))), Path("m.onnx"))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(ModelError, match=r"the card in m\.onnx cannot be read"):
        ModelCard.from_json('{"version": 1', Path("m.onnx"))


def test_imagenets_normalization_is_torchvisions() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3)).astype(np.float32)
    ours = (pixels / 255 - np.array(IMAGENET.mean)) @ np.array(IMAGENET.matrix).T
    image = torch.from_numpy(pixels / 255).T[:, :, None]
    theirs = normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[:, :, 0].T.numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_normalization_of_each_image_comes_back_and_an_older_cards_is_none(card: ModelCard) -> None:
    each = replace(card, normalization=replace(WHITENING, per_image=True))
    assert ModelCard.from_json(each.to_json(), Path("m.onnx")) == each
    data = json.loads(card.to_json())
    del data["normalization"]["per_image"]
    assert ModelCard.from_json(json.dumps(data), Path("m.onnx")) == card


@pytest.mark.parametrize(
    ("normalization", "text"),
    [
        (IMAGENET, "(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]"),
        (
            replace(IMAGENET, per_image=True),
            "(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], "
            "then each image to mean 0 and standard deviation 1 per channel",
        ),
        (WHITENING, "[[1, 0.5, -0.25], [0, 2, 0.3333], [1e-07, 0, 3]] @ (x / 255 - [0.1, 0.2, 0.3])"),
    ],
)
def test_a_normalization_reads_as_its_formula(normalization: Normalization, text: str) -> None:
    assert str(normalization) == text


def test_a_class_is_found_by_label_and_by_name_and_the_label_wins() -> None:
    classes = [ClassName("normal", "007"), ClassName("blast", "1"), ClassName("1", "odd")]
    assert class_index(classes) == {"normal": 0, "007": 0, "blast": 1, "1": 1, "odd": 2}


def test_a_class_reads_as_label_and_name_unless_they_are_the_same() -> None:
    assert [str(ClassName("blast", "1")), str(ClassName("cat", "cat"))] == ["1 blast", "cat"]


def test_the_most_frequent_class_is_that_of_the_training_images_and_the_first_where_nothing_is_known(
    card: ModelCard,
) -> None:
    assert (card.most_frequent, card.trained_on) == (1, "cells")
    unknown = replace(card, provenance={})
    assert (unknown.most_frequent, unknown.trained_on) == (0, "unknown data")


def test_sums_may_overflow_in_int8_where_weights_are_not_known_to_have_7_bits(card: ModelCard) -> None:
    def made(precision: str, record: dict) -> ModelCard:
        return replace(card, precision=precision, provenance={"int8": record})

    assert made("int8", {}).may_overflow  # as earlier labs wrote it
    assert made("int8", {"weight_bits": 8}).may_overflow
    assert not made("int8", {"weight_bits": 7}).may_overflow
    assert made("int8", {"weight_bits": 7}).with_wide_weights().may_overflow
    assert not made("fp32", {}).may_overflow
    assert card.with_wide_weights() == card


def test_checkpoint_and_onnx_file_carry_one_card(run: Path, model: Path) -> None:
    checkpoint, exported = read_card(run / "best.safetensors"), read_card(model)
    assert [item.label for item in checkpoint.classes] == ["0", "1"]
    assert (checkpoint.opset, exported.opset) == (None, 17)
    assert exported.pixels == checkpoint.pixels
    assert exported.normalization == checkpoint.normalization
    with safe_open(run / "best.safetensors", "np") as file:
        assert checkpoint == ModelCard.from_json(file.metadata()[CARD_KEY], run)
    properties = {item.key: item.value for item in onnx.load(model).metadata_props}
    assert exported == ModelCard.from_json(properties[CARD_KEY], model)


def test_a_checkpoint_without_a_card_is_refused(tmp_path: Path) -> None:
    for name, metadata in (("bare", None), ("other", {"format": "pt"})):
        path = tmp_path / f"{name}.safetensors"
        save_file({"w": np.zeros(2, np.float32)}, path, metadata)
        with pytest.raises(ModelError, match=rf"{name}\.safetensors has no card.*use a file that lab wrote"):
            read_card(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02\0\0",
        b"hello, this is plain text",
        b"\x20\0\0\0\0\0\0\0{",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x04\0\0\0\0\0\0\0null",
        b"\x02\0\0\0\0\0\0\0\xff\xfe",
        b'\x15\0\0\0\0\0\0\0{"__metadata__":null}',
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.safetensors is not a safetensors checkpoint; use a run's best"):
        read_card(path)


@pytest.mark.parametrize("name", ["none.safetensors", "none.onnx"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"cannot read .*{name}: No such file.*check the path"):
        read_card(tmp_path / name)


def test_a_file_of_a_run_that_is_no_model_is_refused(run: Path) -> None:
    with pytest.raises(ModelError, match=r"recipe\.toml is not an ONNX file; use a file that `lab export` wrote"):
        read_card(run / "recipe.toml")

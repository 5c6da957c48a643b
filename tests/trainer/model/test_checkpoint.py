import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from infer.core.errors import ModelError, OutputError
from infer.images.preprocess import PixelSpec
from infer.model.card import CARD_KEY, IMAGENET, ClassName, ModelCard, read_card
from trainer.model.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from trainer.model.network import PixelNet, build_network

CARD = ModelCard(
    architecture="resnet18",
    classes=(ClassName("normal", "007"), ClassName("Lymphoblaste, größer", "1")),
    pixels=PixelSpec.default(32),
    normalization=IMAGENET,
    ordered=True,
    temperature=1.25,
    provenance={"data": {"name": "cells", "train": [3, 4]}, "seed": 5},
)


def new_network(seed: int = 0) -> PixelNet:
    """A network whose running statistics are not those of a new one."""
    torch.manual_seed(seed)
    network = build_network(CARD)
    for name, values in network.resnet.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            values.uniform_(0.5, 1.5)
    return network


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint. Not to be written to."""
    path = tmp_path_factory.mktemp("checkpoint") / "best.safetensors"
    save_checkpoint(new_network(), CARD, path)
    return path


def rewritten(saved: Path, path: Path, change: Callable[[ModelCard], ModelCard]) -> Path:
    """The checkpoint's weights with another card."""
    card = change(read_card(saved))
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(saved), {CARD_KEY: card.to_json()}))
    return path


def with_sha(card: ModelCard, **sha: Any) -> ModelCard:
    kept = {key: value for key, value in card.provenance.items() if key != "weights_sha256"}
    return replace(card, provenance={**kept, **sha})


def test_a_checkpoint_comes_back_as_it_was_saved(saved: Path) -> None:
    network, card = load_checkpoint(saved)
    expected = new_network().eval()
    assert card == with_sha(CARD, weights_sha256=weights_sha256(expected.resnet.state_dict()))
    assert card == read_card(saved)
    for name, values in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], values), name
    assert not any(module.training for module in network.modules())
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
    with torch.inference_mode():
        for one, other in zip(network(images), expected(images), strict=True):
            assert torch.equal(one, other)


def test_the_file_is_plain_safetensors_with_the_resnets_names(saved: Path) -> None:
    with safetensors.safe_open(saved, "pt") as file:
        assert set(file.keys()) == set(new_network().resnet.state_dict())
        assert set(file.metadata()) == {CARD_KEY}


def test_a_network_in_another_memory_layout_is_the_same_checkpoint(saved: Path, tmp_path: Path) -> None:
    """Training runs in channels_last."""
    save_checkpoint(new_network().to(memory_format=torch.channels_last), CARD, tmp_path / "best.safetensors")
    assert (tmp_path / "best.safetensors").read_bytes() == saved.read_bytes()


STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


@pytest.mark.parametrize(
    "other",
    [
        {**STATE, "b": torch.tensor(4)},
        {**STATE, "a": torch.nextafter(STATE["a"], torch.tensor(9.0))},
        {**STATE, "a": STATE["a"] * torch.tensor([[-1.0, 1, 1], [1, 1, 1]])},  # 0 and -0
        {**STATE, "a": STATE["a"].reshape(3, 2)},
        {**STATE, "a": STATE["a"].T.reshape(2, 3)},
        {**STATE, "b": torch.tensor(3, dtype=torch.int32)},
        {**STATE, "c": torch.zeros(0)},
        {"a": STATE["a"], "c": STATE["b"]},
    ],
    ids=["value", "last bit", "sign of zero", "shape", "order", "type", "one more", "name"],
)
def test_the_weights_sha_changes_with_anything_in_them(other: dict[str, Tensor]) -> None:
    assert weights_sha256(other) != weights_sha256(STATE)


def test_the_weights_sha_does_not_change_with_order_or_memory_layout() -> None:
    other = {"b": STATE["b"].clone(), "a": STATE["a"].T.contiguous().T}
    assert not other["a"].is_contiguous()
    assert weights_sha256(other) == weights_sha256(STATE)


@pytest.mark.parametrize("place", [-1, -10_000])
def test_weights_that_were_tampered_with_are_refused(saved: Path, tmp_path: Path, place: int) -> None:
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    (tmp_path / "best.safetensors").write_bytes(content)
    with pytest.raises(
        ModelError,
        match=r"the card in .*best\.safetensors belongs to other weights than the file contains; train again",
    ):
        load_checkpoint(tmp_path / "best.safetensors")


OTHER_WEIGHTS = r"card in .*best\.safetensors belongs to other weights than the file contains; train again"
NOT_THE_CARDS = r"best\.safetensors does not contain the weights that its card describes \(.+\); train again"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda card: with_sha(card, weights_sha256="0" * 64), OTHER_WEIGHTS),
        (with_sha, OTHER_WEIGHTS),
        (lambda card: replace(card, architecture="resnet34"), NOT_THE_CARDS),
        (lambda card: replace(card, architecture="resnet50"), NOT_THE_CARDS),
        (lambda card: replace(card, architecture="vgg16"), NOT_THE_CARDS),
        (lambda card: replace(card, classes=(*card.classes, ClassName("third", "2"))), NOT_THE_CARDS),
    ],
    ids=["other sha", "no sha", "deeper network", "other network", "unknown network", "more classes"],
)
def test_a_card_of_other_weights_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[ModelCard], ModelCard], problem: str
) -> None:
    path = rewritten(saved, tmp_path / "best.safetensors", change)
    with pytest.raises(ModelError, match=problem) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_card_that_was_not_changed_is_not_refused(saved: Path, tmp_path: Path) -> None:
    load_checkpoint(rewritten(saved, tmp_path / "best.safetensors", lambda card: card))


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ModelError, match=r"plain\.safetensors has no card"):
        load_checkpoint(tmp_path / "plain.safetensors")


@pytest.mark.parametrize("size", [0, 5, 1000, 10_000])
def test_a_file_that_was_cut_short_is_refused(saved: Path, tmp_path: Path, size: int) -> None:
    (tmp_path / "best.safetensors").write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"best\.safetensors"):
        load_checkpoint(tmp_path / "best.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors: No such file.*; check the path"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_full_disk_leaves_the_old_checkpoint_whole_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"the old one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"disk is full and .*best\.safetensors was not written"):
        save_checkpoint(new_network(), CARD, path)
    assert [item.name for item in tmp_path.iterdir()] == ["best.safetensors"]
    assert path.read_bytes() == b"the old one"


def test_a_checkpoint_is_loaded_from_a_folder_whose_name_is_no_utf_8(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"runs\xff")
    folder.mkdir()
    _, card = load_checkpoint(Path(shutil.copy(saved, folder)))
    assert card.provenance["seed"] == 5

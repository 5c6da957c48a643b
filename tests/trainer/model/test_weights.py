"""Small networks stand in for the published ones: what is loaded depends on names and shapes alone."""

import pickle
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers.networks import small_resnet
from torch import Tensor
from torchvision.models import ResNet18_Weights

from infer.core.errors import ModelError
from trainer.model.resnet import BasicBlock, Bottleneck, ResNet
from trainer.model.weights import load_pretrained, load_weights


def small(seed: int, classes: int = 2, block: type = BasicBlock, base_width: int = 4) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(block, (1, 1, 1, 1), classes, base_width)


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Names of the tensors with equal values; a network's new normalisation is like any other's."""
    return {name for name in one if name in other and torch.equal(one[name], other[name])}


SOURCE = small(seed=1).state_dict()


@pytest.mark.parametrize(
    "content",
    [
        SOURCE,
        {"state_dict": SOURCE, "epoch": 3, "best": 0.5},
        {"model": SOURCE},
        {"model_state_dict": SOURCE, "optimizer_state_dict": {"state": {}}},
        {f"resnet.{name}": values for name, values in SOURCE.items()},
    ],
    ids=["bare", "state_dict", "model", "model_state_dict", "PixelNet's"],
)
def test_a_pth_of_weights_is_loaded_in_every_usual_form(tmp_path: Path, content: object) -> None:
    network = small(seed=2)
    match = load_weights(network, save(tmp_path / "w.pth", content))
    assert same(network.state_dict(), SOURCE) == set(SOURCE)
    assert str(match) == f"{len(SOURCE)} tensors loaded"


@pytest.mark.parametrize(
    ("prefix", "head"),
    [
        ("module.", "module."),
        ("_orig_mod.", "_orig_mod."),
        ("module._orig_mod.", "module._orig_mod."),
        ("net.encoder.", "net.encoder."),
        ("backbone.", "head."),
    ],
)
def test_the_prefixes_of_wrapped_networks_are_stripped_and_named(tmp_path: Path, prefix: str, head: str) -> None:
    wrapped = {f"{head if name.startswith('fc') else prefix}{name}": values for name, values in SOURCE.items()}
    network = small(seed=2)
    match = load_weights(network, save(tmp_path / "w.ckpt", {"state_dict": wrapped, "epoch": 1}))
    assert same(network.state_dict(), SOURCE) == set(SOURCE)
    stripped = ", ".join(sorted({prefix, head}))
    assert str(match) == f"{len(SOURCE)} tensors loaded, prefix {stripped} stripped"


def test_a_file_of_two_networks_is_refused_by_the_names_that_both_have(tmp_path: Path) -> None:
    both = {f"{prefix}.{name}": values for prefix in ("model", "network") for name, values in SOURCE.items()}
    with pytest.raises(ModelError, match=r"more than one network: model\.conv1\.weight.*save the one that is wanted"):
        load_weights(small(seed=2), save(tmp_path / "w.pth", both))


def test_an_unknown_prefix_is_not_guessed(tmp_path: Path) -> None:
    teacher = {f"teacher.{name}": values for name, values in SOURCE.items()}
    with pytest.raises(ModelError, match="does not fit the network"):
        load_weights(small(seed=2), save(tmp_path / "w.pth", teacher))


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    safetensors.torch.save_file(SOURCE, tmp_path / "w.safetensors")
    network = small(seed=2)
    load_weights(network, tmp_path / "w.safetensors")
    assert same(network.state_dict(), SOURCE) == set(SOURCE)


def test_a_runs_best_checkpoint_can_be_started_from(run: Path) -> None:
    network = small_resnet("resnet18", 2)
    load_weights(network, run / "best.safetensors")
    stored = safetensors.torch.load_file(run / "best.safetensors")
    assert same(network.state_dict(), stored) == set(stored)


def test_a_head_for_other_classes_stays_new_and_is_reported(tmp_path: Path) -> None:
    network = small(seed=2, classes=5)
    head = {name: network.state_dict()[name].clone() for name in ("fc.weight", "fc.bias")}
    match = load_weights(network, save(tmp_path / "w.pth", SOURCE))
    assert same(network.state_dict(), SOURCE) == set(SOURCE) - set(head)
    assert same(network.state_dict(), head) == set(head)
    assert set(match.reshaped) == set(head)
    assert "2 of another shape, left at new values: fc.weight, fc.bias" in str(match)


def test_tensors_that_the_file_or_the_network_lacks_are_reported(tmp_path: Path) -> None:
    content = {name: values for name, values in SOURCE.items() if not name.startswith("layer4.")}
    match = load_weights(small(seed=2), save(tmp_path / "w.pth", content | {"head.bias": torch.zeros(2)}))
    lacking = {n for n in SOURCE if n.startswith("layer4.") and not n.endswith("num_batches_tracked")}
    assert set(match.missing) == lacking
    assert match.unexpected == ("head.bias",)
    assert f"{len(lacking)} not in the file, left at new values" in str(match)
    assert "1 in the file only: head.bias" in str(match)


def test_weights_of_another_kind_of_network_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", torch.nn.Linear(3, 4).state_dict())
    with pytest.raises(ModelError, match=r"w\.pth does not fit the network.*; give weights of the same architecture"):
        load_weights(small(seed=2), path)


def test_weights_of_another_resnet_are_refused_with_what_does_not_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", small(seed=1, block=Bottleneck).state_dict())
    with pytest.raises(ModelError, match=r"of another shape, left at new values: layer1.*same architecture"):
        load_weights(small(seed=2), path)


class Trap:
    """Makes a folder where it is unpickled carelessly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("plain", [False, True], ids=["torch.save", "pickle"])
def test_a_pickle_with_a_program_in_it_is_refused_and_not_run(tmp_path: Path, plain: bool) -> None:
    content = {"state_dict": SOURCE, "trap": Trap(tmp_path / "sprung")}
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(content, protocol=2)) if plain else torch.save(content, path)
    with pytest.raises(ModelError, match=r"w\.pth contains more than weights.*; save its state_dict\(\) alone"):
        load_weights(small(seed=2), path)
    assert not (tmp_path / "sprung").exists()
    torch.load(save(tmp_path / "again.pth", content), weights_only=False)
    assert (tmp_path / "sprung").exists(), "the trap does not work"


def test_a_whole_module_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"save its state_dict\(\) alone"):
        load_weights(small(seed=2), save(tmp_path / "w.pth", small(seed=1)))


GARBAGE = {
    "empty": b"",
    "html": b"<!DOCTYPE html><html>Not found</html>",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "opcodes 1": b"0" * 10,
    "opcodes 2": b"e" * 10,
    "opcodes 3": b"j\x00\x00\x00\x00.",
    "half": None,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "w.pth", SOURCE)
    content = GARBAGE[kind]
    path.write_bytes(path.read_bytes()[:20_000] if content is None else content)
    with pytest.raises(ModelError, match=r"w\.pth ") as caught:
        load_weights(small(seed=2), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["html", "lfs", "png"])
def test_a_file_that_is_no_pytorch_file_is_not_called_dangerous_weights(tmp_path: Path, kind: str) -> None:
    (tmp_path / "w.pth").write_bytes(GARBAGE[kind] or b"")
    with pytest.raises(ModelError, match=r"w\.pth is not a PyTorch file of weights; give a \.pth or a \.safetensors"):
        load_weights(small(seed=2), tmp_path / "w.pth")


def test_a_broken_safetensors_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x10" + bytes(7) + b"not a header")
    with pytest.raises(ModelError, match=r"w\.safetensors is not a safetensors file"):
        load_weights(small(seed=2), tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [1, 2], torch.zeros(3), {"state_dict": {}}])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelError, match=r"w\.pth contains no named tensors; save the network's state_dict\(\)"):
        load_weights(small(seed=2), save(tmp_path / "w.pth", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.pth do not exist; check the path"):
        load_weights(small(seed=2), tmp_path / "none.pth")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's folder of weights, empty, on a machine without a network.

    Torch hub checks the hash in a file's name when it downloads it, and trusts what lies there.
    """

    def offline(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


PUBLISHED = ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[-1]


def test_pretrained_weights_except_the_heads_come_from_torch_hubs_folder(hub: Path) -> None:
    source = save(hub / PUBLISHED, small(seed=1, classes=1000).state_dict())
    for classes in (2, 1000):
        network = small(seed=2, classes=classes)
        match = load_pretrained(network, "resnet18")
        assert same(network.state_dict(), torch.load(source)) == set(SOURCE) - {"fc.weight", "fc.bias"}
        assert set(match.missing) == {"fc.weight", "fc.bias"}


def test_without_a_home_weights_are_looked_for_in_labs_cache(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "~/.cache/torch/hub")  # as torch gives it then
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    save(folder / PUBLISHED, small(seed=1, classes=1000).state_dict())
    assert load_pretrained(small(seed=2), "resnet18").loaded


def test_without_a_network_the_missing_weights_and_their_place_are_named_in_one_line(hub: Path) -> None:
    with pytest.raises(ModelError, match=r"no network in this test.*or give a local one with --weights") as caught:
        load_pretrained(small(seed=2), "resnet18")
    assert PUBLISHED in str(caught.value)
    assert f"put the file into {hub}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["empty", "html", "half"])
def test_a_broken_file_in_torch_hubs_folder_is_named_in_one_line(hub: Path, kind: str) -> None:
    content = GARBAGE[kind]
    path = save(hub / PUBLISHED, SOURCE)
    path.write_bytes(path.read_bytes()[:20_000] if content is None else content)
    with pytest.raises(ModelError, match=PUBLISHED) as caught:
        load_pretrained(small(seed=2), "resnet18")
    assert "\n" not in str(caught.value)

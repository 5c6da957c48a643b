"""A file of torch.save with compressed entries, which claim any amount of memory, is not opened."""

import zipfile
from pathlib import Path

import pytest
import torch

from infer.core.errors import ModelError
from infer.model.runs import SNAPSHOT
from trainer.model.resnet import BasicBlock, ResNet
from trainer.model.torch_zip import require_stored
from trainer.model.weights import load_weights
from trainer.run.snapshot import load_snapshot


def compressed(path: Path) -> Path:
    """A file of torch.save whose storage is ten million zeros, in some ten thousand bytes."""
    torch.save({"a": torch.zeros(2_500_000)}, path)
    with zipfile.ZipFile(path) as archive:
        contents = {item.filename: archive.read(item) for item in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 20_000
    return path


def test_what_torch_writes_and_what_is_no_zip_file_passes(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(9)}, tmp_path / "new.pth")
    torch.save({"a": torch.zeros(9)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        require_stored(tmp_path / name)


def test_compressed_weights_and_snapshots_are_one_line(tmp_path: Path) -> None:
    path = compressed(tmp_path / SNAPSHOT)
    with pytest.raises(zipfile.BadZipFile, match=r"its entry .* is compressed"):
        require_stored(path)
    with pytest.raises(ModelError, match=r"last\.ckpt cannot be read \(its entry .* is compressed\); export the best"):
        load_snapshot(tmp_path)
    with pytest.raises(ModelError, match="is not a PyTorch file of weights"):
        load_weights(ResNet(BasicBlock, (1, 1, 1, 1), 2, 4), path)

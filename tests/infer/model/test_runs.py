import os
from pathlib import Path

import pytest

from infer.core.errors import DataError, ModelError
from infer.model.runs import find_checkpoint, find_model, newest_model, newest_run, read_recipe


def made(path: Path, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("seed = 3\n")
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def test_the_newest_run_is_the_one_that_started_last_of_those_with_a_finished_epoch(tmp_path: Path) -> None:
    for name, age in (("old", 50), ("new", 10), ("unfinished", 0)):
        made(tmp_path / name / "recipe.toml", age)
    made(tmp_path / "old" / "best.safetensors", 0)  # it ran for longer
    made(tmp_path / "new" / "best.safetensors", 5)
    assert newest_run(tmp_path) == tmp_path / "new"


def test_no_run_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lab train"):
        newest_run(tmp_path / "runs")


def test_the_newest_model_is_the_one_written_last(tmp_path: Path) -> None:
    made(tmp_path / "a" / "model.fp16.onnx", 1)
    made(tmp_path / "b" / "model.onnx", 9)
    assert newest_model(tmp_path) == tmp_path / "a" / "model.fp16.onnx"


def test_no_model_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lab export"):
        newest_model(tmp_path)


def test_a_run_means_its_fp32_model_first(tmp_path: Path) -> None:
    made(tmp_path / "model.fp16.onnx")
    assert find_model(tmp_path).name == "model.fp16.onnx"
    made(tmp_path / "model.onnx")
    assert find_model(tmp_path).name == "model.onnx"


@pytest.mark.parametrize("name", ["", "missing.onnx"])
def test_a_run_or_path_without_a_model_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="lab export"):
        find_model(tmp_path / name)


def test_a_checkpoint_may_be_named_by_its_run_or_itself(tmp_path: Path) -> None:
    file = made(tmp_path / "best.safetensors")
    assert find_checkpoint(tmp_path) == find_checkpoint(file) == file
    with pytest.raises(ModelError, match="no finished epoch"):
        find_checkpoint(made(tmp_path / "other" / "recipe.toml").parent)


def test_a_damaged_recipe_is_an_error_that_names_it(tmp_path: Path) -> None:
    assert read_recipe(made(tmp_path / "recipe.toml").parent) == {"seed": 3}
    (tmp_path / "recipe.toml").write_text("seed = = 3")
    with pytest.raises(DataError, match=r"recipe\.toml"):
        read_recipe(tmp_path)


def test_a_recipe_may_name_a_folder_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b'data = "/data/b\xffd"\n')
    assert read_recipe(tmp_path) == {"data": os.fsdecode(b"/data/b\xffd")}

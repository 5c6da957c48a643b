"""Names that an output may have, and the files of a prediction."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infer.config import PredictConfig
from infer.core.errors import ConfigError
from infer.core.output_paths import (
    CSV_SUFFIXES,
    bad_list,
    file_in,
    progress_file,
    record_file,
    report_folder,
    require_file_name,
    require_folder_name,
    require_suffix,
    suffix_of,
)
from infer.core.remote import uri_of


def test_the_files_of_a_prediction_lie_beside_its_csv() -> None:
    out = Path("some folder/submission.v2.csv")
    assert bad_list(out) == Path("some folder/submission.v2.bad.csv")
    assert progress_file(out) == Path("some folder/submission.v2.progress")
    assert report_folder(out) == Path("some folder/submission.v2.report")


def test_the_results_of_an_unfinished_prediction_to_a_uri_are_kept_in_the_working_folder() -> None:
    assert progress_file(Path("s3://bucket/cells/out.csv")) == Path("out.progress")


def test_the_options_of_a_uri_lead_to_each_file_of_the_prediction() -> None:
    for options in ("?region=eu-west-1", "?endpoint_override=127.0.0.1:9876&scheme=http", "?a=b/c.d"):
        out = Path(f"s3://bucket/v.1/sub.csv{options}")
        assert uri_of(bad_list(out)) == f"s3://bucket/v.1/sub.bad.csv{options}"
        assert uri_of(record_file(out)) == f"s3://bucket/v.1/sub.prediction.json{options}"
        assert uri_of(file_in(report_folder(out), "report.json")) == f"s3://bucket/v.1/sub.report/report.json{options}"
        assert progress_file(out) == Path("sub.progress")
    assert suffix_of(Path("s3://bucket/p.PARQUET?region=a.csv")) == ".parquet"
    assert bad_list(Path("what?.csv")) == Path("what?.bad.csv")
    assert file_in(Path("is it?"), "a.csv") == Path("is it?/a.csv")


@pytest.mark.parametrize("path", [Path(), Path("/"), Path(".."), Path("/dev/null")])
def test_a_path_without_a_file_name_and_a_device_are_refused_by_the_options_name(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--out must be a file's name, got .*; a folder or a device cannot be"):
        require_file_name("--out", path)


def test_a_folder_is_refused_and_a_file_is_accepted_whether_it_exists_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    require_file_name("--out", tmp_path / "a.csv")
    require_file_name("--out", tmp_path / "new" / "b.csv")
    with pytest.raises(ConfigError, match=f"--probabilities must be a file's name, got {tmp_path}"):
        require_file_name("--probabilities", tmp_path)


@pytest.mark.parametrize("name", ["a.json", "a.csv.xz", "a.tsv", "run.v2/a.feather", "s3:/bucket/a.pdf?region=x.csv"])
def test_a_suffix_of_another_kind_of_file_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--out must end in \.csv, got .*a CSV is written"):
        require_suffix("--out", Path(name), "a CSV", CSV_SUFFIXES)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.txt", "a", "v1.2/a", "s3:/bucket/a.csv?region=eu-west-1"])
def test_a_csv_may_have_its_own_suffix_or_none(name: str) -> None:
    require_suffix("--out", Path(name), "a CSV", CSV_SUFFIXES)


def test_standard_output_is_no_file_and_no_folder() -> None:
    with pytest.raises(ConfigError, match=r"--out must be a file's name, got -: nothing is written to standard output"):
        require_suffix("--out", Path("-"), "a CSV", CSV_SUFFIXES)
    with pytest.raises(ConfigError, match="--out must be a folder's name, got -"):
        require_folder_name("--out", Path("-"))


def test_probabilities_may_be_parquet_and_the_submission_may_not() -> None:
    config = PredictConfig(source=Path("in"), probabilities=Path("p.PARQUET"))
    assert config.probabilities == Path("p.PARQUET")
    with pytest.raises(ConfigError, match=r"--out must end in \.csv, got p\.parquet"):
        PredictConfig(source=Path("in"), out=Path("p.parquet"))
    with pytest.raises(ConfigError, match=r"--probabilities must end in \.csv or \.parquet, got p\.npy"):
        PredictConfig(source=Path("in"), probabilities=Path("p.npy"))


def test_a_new_folder_has_no_suffix_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out must be a folder's name, got .*page\.html; give one such as page$"):
        require_folder_name("--out", tmp_path / "page.html")
    for name in ("report", "2026.11.28", "predictions.report"):
        require_folder_name("--out", tmp_path / name)
    (tmp_path / "old.json").mkdir()
    require_folder_name("--out", tmp_path / "old.json")


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "none", "--out", "x.docx"),
        ("predict", "none", "--probabilities", "x.json"),
        ("evaluate", "none", "--out", "x.html"),
        ("compare", "none", "--out", "x.png"),
        ("export", "--out", "x.tflite"),
        ("data", "check", "none", "--out", "x.json"),
        ("data", "split", "none", "--out", "x.csv"),
        ("data", "preview", "none", "--out", "x.pdf"),
        ("train", "resnet18", "--data", "none", "--out", "x.pt"),
        ("find-rate", "resnet18", "--data", "none", "--out", "x.svg"),
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
def test_every_command_refuses_the_name_in_one_line_before_it_looks_for_its_input(
    lab: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lab(*command)
    assert ran.code == 2
    assert command[-1] in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

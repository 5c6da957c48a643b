from pathlib import Path

import pytest

from infer.core.errors import ConfigError
from infer.core.output_paths import bad_list, progress_file, report_folder, require_file_name


def test_the_files_of_a_prediction_lie_beside_its_csv() -> None:
    out = Path("some folder/submission.v2.csv")
    assert bad_list(out) == Path("some folder/submission.v2.bad.csv")
    assert progress_file(out) == Path("some folder/submission.v2.progress")
    assert report_folder(out) == Path("some folder/submission.v2.report")


def test_the_results_of_an_unfinished_prediction_to_a_uri_are_kept_in_the_working_folder() -> None:
    assert progress_file(Path("s3://bucket/cells/out.csv")) == Path("out.progress")


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

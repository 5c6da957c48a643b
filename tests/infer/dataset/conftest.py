"""What tests of data sets share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.data_folders import make_files


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Make a data folder `cells` of empty images and of tables, as `make_files` does."""

    def make(*images: str, **texts: str) -> Path:
        root = tmp_path / "cells"
        root.mkdir(exist_ok=True)
        return make_files(root, *images, **texts)

    return make

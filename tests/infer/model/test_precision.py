"""The table of precisions, as prediction uses it."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from exporter.config import ExportConfig, Precision
from exporter.precisions import EXPORTS
from infer.core.errors import ConfigError
from infer.model.precision import PRECISIONS


def test_the_exporters_table_and_the_option_have_the_same_precisions() -> None:
    assert tuple(PRECISIONS) == tuple(EXPORTS) == get_args(Precision)


def test_each_precision_has_a_file_name_of_its_own() -> None:
    assert len({row.file_name for row in PRECISIONS.values()}) == len(PRECISIONS)


def test_a_precision_may_be_requested_as_soon_as_the_table_has_its_row() -> None:
    script = (
        "from infer.model.precision import PRECISIONS, Precision\n"
        "PRECISIONS['int4'] = Precision(file_name='model.int4.onnx', suits='for nothing', calibrated=True)\n"
        "from exporter.config import ExportConfig\n"
        "assert ExportConfig(precision='int4', calibration_images=9).precision == 'int4'\n"
        "assert 'int4 (for nothing)' in ExportConfig.__dataclass_fields__['precision'].metadata['knob'].help\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


def test_an_option_of_calibration_without_a_calibrated_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="--calibration-images has no effect here: it needs --precision int8"):
        ExportConfig(precision="fp16", calibration_images=9)

"""Windows and rescaling of single values, counted out by hand; whole files are compared in test_dicom.py."""

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from infer.images.dicom_window import file_window, to_levels


def header(**values: Any) -> Dataset:
    made = Dataset()
    for name, value in {"BitsStored": 8, "PixelRepresentation": 0, **values}.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("kind", "value", "level"),
    [
        # centre 100, width 11: the linear window reaches from 94.5 to 104.5, the exact one from 94.5 to 105.5
        ("LINEAR", 94, 0),
        ("LINEAR", 99.5, 128),
        ("LINEAR", 105, 255),
        ("LINEAR_EXACT", 94.5, 0),
        ("LINEAR_EXACT", 105, 243),
        ("SIGMOID", 100, 128),
        ("SIGMOID", 105.5, 225),  # 255 / (1 + exp(-2)) = 224.6
        ("SIGMOID", -1e6, 0),
    ],
)
def test_a_value_in_a_window(kind: str, value: float, level: int) -> None:
    window = header(WindowCenter=100, WindowWidth=11, VOILUTFunction=kind)
    assert to_levels(np.array([value]), window, "file").tolist() == [level]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 40}, {"WindowCenter": 40, "WindowWidth": 0}])
def test_a_file_without_a_valid_window_has_none(window: dict[str, Any]) -> None:
    assert file_window(header(**window)) is None
    assert to_levels(np.array([0.0, 255.0]), header(**window), "file").tolist() == [0, 255]


def test_a_table_without_entries_leaves_the_window() -> None:
    window = header(WindowCenter=0.5, WindowWidth=1, VOILUTSequence=Sequence([Dataset()]))
    assert to_levels(np.array([0.0, 1.0]), window, "file").tolist() == [0, 255]


def test_a_table_of_8_bit_entries_in_bytes_is_looked_up() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 10, 8], bytes([0, 50, 100, 255])
    values = np.array([0.0, 10, 11, 12, 13, 99])
    window = header(VOILUTSequence=Sequence([table]))
    assert to_levels(values, window, "file").tolist() == [0, 0, 50, 100, 255, 255]


def test_a_slope_of_0_is_an_error() -> None:
    with pytest.raises(ValueError, match="slope of 0"):
        to_levels(np.zeros(1), header(RescaleSlope=0, RescaleIntercept=1), "file")

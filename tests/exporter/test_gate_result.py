"""The gate's result is shown with the pixels' comparison where there is one; a file that fails is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import SCALE, make_card, traced

from exporter.gate_result import show_parity
from exporter.graph import finish
from exporter.parity import Check, Parity
from exporter.reference import Reference
from infer.core.errors import ParityError
from infer.images.preprocess import PixelSpec
from infer.model.pixel_parity import PixelParity

REFERENCE = Reference(
    ("a.png",), np.zeros(1, dtype=np.int64), np.zeros((1, 3), np.float32), 1.0, PixelSpec.default(32), (), "0"
)


def result(*failures: str) -> Parity:
    check = Check("CPUExecutionProvider", 1, 1, failures, 1e-6, 1e-6, 1e-4, accuracy=1.0, network_accuracy=1.0)
    return Parity("fp32", 17, 1, 0, "0", (check,), {"logits": 1e-4})


def test_a_result_is_shown_and_a_failure_ends_with_its_consequence(heard: tuple, tmp_path: Path) -> None:
    screen, text = heard
    file = tmp_path / "model.onnx"
    file.write_bytes(finish(traced(SCALE), make_card(opset=17)).SerializeToString())
    with_pixels = replace(result(), pixels=PixelParity(3, 20, 90, 1, 0.01, 0))
    assert show_parity(with_pixels, file, REFERENCE, screen, "no file was left") == with_pixels
    assert "pixels: at most 1 of 255 from Pillow's" in text.getvalue()
    with pytest.raises(ParityError, match="logits are wrong; no file was left"):
        show_parity(result("logits are wrong"), file, REFERENCE, screen, "no file was left")

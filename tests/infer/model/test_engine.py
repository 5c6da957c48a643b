"""A file is opened by the library that its provider's row names, behind one interface."""

from pathlib import Path

import numpy as np
import pytest

from infer.model.cpu_engine import CpuEngine
from infer.model.engine import open_engine
from infer.model.providers import CPU, OPENVINO

PIXELS = np.zeros((2, 32, 32, 3), np.uint8)


def test_onnx_runtime_opens_what_its_rows_name(model: Path) -> None:
    engine = open_engine(model, CPU, 1, CPU.options)
    assert isinstance(engine, CpuEngine)
    assert (engine.batch, engine.outputs) == (None, ("logits", "probabilities"))
    probabilities, logits = engine.run(["probabilities", "logits"], {"images": PIXELS})
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert logits.shape == (2, 2)


@pytest.mark.usefixtures("openvino")
def test_openvino_opens_what_its_rows_name(model: Path) -> None:
    engine = open_engine(model, OPENVINO, 1, OPENVINO.options)
    assert isinstance(engine, CpuEngine)
    (expected,) = open_engine(model, CPU, 1, CPU.options).run(["logits"], {"images": PIXELS})
    np.testing.assert_allclose(engine.run(["logits"], {"images": PIXELS})[0], expected, atol=1e-5)

"""A file that takes whole images is opened as such, and refused where windows are to be predicted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.networks import SCALE, make_card, traced
from PIL import Image

from exporter.embed_resize import whole_image_card
from exporter.graph import finish
from exporter.inputs import take_input
from infer.core.errors import ModelError
from infer.images.preprocess import image_window
from infer.model.image_session import ImageSession
from infer.model.session import Session


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A network as a file that takes whole images, and as one that takes windows."""
    card = whole_image_card(make_card(opset=17))
    plain = finish(traced(SCALE), card)
    (tmp_path / "plain.onnx").write_bytes(plain.SerializeToString())
    model = onnx.ModelProto()
    model.CopyFrom(plain)
    take_input(model, "image", card.pixels)
    finished = finish(model, whole_image_card(make_card(opset=17, input="image")))
    (tmp_path / "whole.onnx").write_bytes(finished.SerializeToString())
    return tmp_path / "whole.onnx", tmp_path / "plain.onnx"


def test_a_whole_image_gives_what_its_window_gives(files: tuple[Path, Path]) -> None:
    whole, plain = ImageSession(files[0]), Session(files[1], "cpu")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    window = image_window(image, plain.card.pixels)
    outputs = zip(whole.run_image(np.asarray(image)), plain.run(window[None]), strict=True)
    for got, wanted in outputs:
        assert got.shape == (1, 3)
        np.testing.assert_allclose(got, wanted, atol=0.05)  # a pixel may be one level off


def test_each_kind_of_file_is_refused_where_the_other_is_meant(files: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"takes whole decoded images one at a time.*without --embed-resize"):
        Session(files[0], "cpu")
    with pytest.raises(ModelError, match="takes batches"):
        ImageSession(files[1])


def test_predicting_with_it_names_the_remedy_in_one_line(
    lab: Callable, files: tuple[Path, Path], cells: Path, tmp_path: Path
) -> None:
    ran = lab("predict", cells / "test", "--model", files[0], "--no-sample", "--out", tmp_path / "out.csv")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "predict with the file that lab export writes without --embed-resize" in ran.err
    assert not (tmp_path / "out.csv").exists()

"""The gate of files that take whole images: what it accepts, and the faults that it catches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.networks import make_card, varied
from onnx import numpy_helper
from PIL import Image

from exporter.embed_resize import whole_image_card
from exporter.graph import build_graph, finish
from exporter.image_gate import run_image_gate, sample_outputs
from exporter.inputs import take_input
from exporter.parity import Parity
from exporter.reference import Reference, compute_reference
from infer.model.card import read_card
from infer.model.evidence import read_evidence

CARD = whole_image_card(make_card(opset=17))
COUNT = 10


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("images")
    files = [str(folder / f"{k}.png") for k in range(COUNT)]
    for k, file in enumerate(files):
        coarse = np.random.default_rng(k).integers(0, 256, (6, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((60 + 5 * k, 90 - 4 * k), Image.Resampling.BICUBIC).save(file)
    return compute_reference(varied(), files, np.arange(COUNT) % 3, CARD.pixels)


@pytest.fixture(scope="module")
def good() -> bytes:
    model = build_graph(varied(), CARD)
    take_input(model, "image", CARD.pixels)
    card = make_card(opset=17, input="image", pixels=CARD.pixels)
    return finish(model, card).SerializeToString()


def gate(content: bytes, reference: Reference, folder: Path) -> Parity:
    (folder / "draft.onnx").write_bytes(content)
    return run_image_gate(folder / "draft.onnx", varied(), reference)


def changed(good: bytes, wanted: Callable[[np.ndarray], bool], change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    model = onnx.load_from_string(good)
    tensor = next(item for item in model.graph.initializer if wanted(numpy_helper.to_array(item)))
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    return model.SerializeToString()


def test_a_good_file_passes_on_images_of_many_sizes(good: bytes, reference: Reference, tmp_path: Path) -> None:
    parity = gate(good, reference, tmp_path)
    assert not parity.failures
    assert [(check.batch, check.images) for check in parity.checks] == [(1, COUNT), (1, COUNT)]
    assert max(check.logit_difference or 0 for check in parity.checks) < 1e-4
    assert parity.pixels is not None
    assert (parity.pixels.images, parity.pixels.largest <= 1, parity.pixels.labels_differ <= 1) == (20, True, True)
    assert parity.pixels.smallest_side < 32 < parity.pixels.largest_side
    assert parity.to_json()["pixels"]["images"] == 20
    assert sample_outputs(tmp_path / "draft.onnx", reference, 3)[0].shape == (3, 3)


def test_a_resize_without_its_rounding_is_caught(good: bytes, reference: Reference, tmp_path: Path) -> None:
    def is_half(array: np.ndarray) -> bool:
        return array.ndim == 0 and array.dtype == np.float32 and array == 0.5

    shifted = good
    for _ in range(8):  # each of the constants 0.5
        try:
            shifted = changed(shifted, is_half, lambda array: array + np.float32(3))
        except StopIteration:
            break
    assert any("pixels differ from Pillow's" in line for line in gate(shifted, reference, tmp_path).failures)


def test_a_wrong_weight_of_the_network_is_caught(good: bytes, reference: Reference, tmp_path: Path) -> None:
    wrong = changed(good, lambda array: array.ndim == 4, lambda array: array * np.float32(1.3))
    failures = gate(wrong, reference, tmp_path).failures
    assert any("logits differ" in line for line in failures)
    assert not any("pixels differ" in line for line in failures)


def test_lab_exports_proves_shows_and_verifies_such_a_file(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--embed-resize", "--precision", "fp16")
    assert ran.code == 0, ran.err
    assert "pixels: at most" in ran.out
    file = fresh / "model.fp16.image.onnx"
    evidence = read_evidence(file)
    assert evidence is not None
    assert evidence.intact
    assert evidence.content["pixels"]["largest"] <= 1
    assert (read_card(file).input, read_card(file).pixels.reduced_decode) == ("image", False)
    shown = " ".join(lab("inspect", file).out.split())
    assert "image uint8 [height, width, 3], one decoded RGB image of any size" in shown
    assert "gate pixels" in shown
    ran = lab("verify", file)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--input", "float"), "--input cannot be combined with --embed-resize: its input is one image of bytes"),
        (("--batch", "2"), "--batch cannot be combined with --embed-resize"),
        (("--cam",), "--cam cannot be combined with --embed-resize: lab draws heat maps"),
    ],
)
def test_options_that_do_not_go_with_it_are_refused_with_a_reason(
    options: tuple[str, ...], reason: str, lab: Callable, fresh: Path
) -> None:
    ran = lab("export", fresh, "--embed-resize", *options)
    assert ran.code == 2
    assert reason in ran.err

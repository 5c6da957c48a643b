"""A graph with a card's resize and crops makes Pillow's pixels, to one level, of images of any size."""

import numpy as np
import onnx
import onnx.reference
import pytest
from helpers.networks import make_card
from onnx import TensorProto, helper
from PIL import Image

from exporter.embed_resize import PIXELS, embed_resize, embedding_problem, whole_image_card
from infer.core.errors import ConfigError
from infer.images.enhance import Clahe, MeanFilter
from infer.images.preprocess import (
    CenterCrop,
    PixelSpec,
    Resize,
    ResizeLonger,
    ResizeShorter,
    image_window,
)

SIZES = [(33, 47), (64, 64), (101, 99), (300, 60), (61, 222), (240, 180), (5, 7)]
"""Width and height: smaller and larger than the window, portrait and landscape, thin and tiny."""


def spec(*steps: object, canvas: tuple[int, int] = (40, 40), window: tuple[int, int] = (32, 32)) -> PixelSpec:
    return PixelSpec(steps=steps, canvas=canvas, window=window, reduced_decode=False)


def front(made_for: PixelSpec, opset: int = 17) -> onnx.reference.ReferenceEvaluator:
    """The added operators alone, run by onnx's own evaluator, which shares no code with ONNX Runtime."""
    height, width = made_for.window
    cast = helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT)
    value = helper.make_tensor_value_info
    shape = [1, height, width, 3]
    graph = helper.make_graph(
        [cast, helper.make_node("Identity", ["cast"], ["out"])],
        "g",
        [value("images", TensorProto.UINT8, ["batch", height, width, 3])],
        [value("out", TensorProto.FLOAT, shape)],
    )
    embed_resize(graph, made_for, "image", graph.node[0])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    assert PIXELS in [name for node in graph.node for name in node.output]
    return onnx.reference.ReferenceEvaluator(model)


@pytest.mark.parametrize(
    "made_for",
    [
        PixelSpec.default(32),
        spec(ResizeLonger(32), canvas=(32, 32)),
        spec(Resize(36, 44), canvas=(36, 44)),
        spec(ResizeShorter(30), CenterCrop(50, 20), window=(32, 30)),
        spec(CenterCrop(60, 50), Resize(40, 40)),
        spec(CenterCrop(50, 50), CenterCrop(45, 60), ResizeLonger(40)),
        spec(CenterCrop(40, 40)),
        spec(),
    ],
    ids=lambda made_for: " ".join(type(step).__name__ for step in made_for.steps) or "no steps",
)
def test_pixels_are_pillows_to_one_level_at_every_size(made_for: PixelSpec) -> None:
    evaluator, differing, values = front(made_for), 0, 0
    for number, size in enumerate(SIZES):
        noise = Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 8, 3), dtype=np.uint8))
        image = noise.resize(size, Image.Resampling.BICUBIC)
        (pixels,) = evaluator.run(None, {"image": np.asarray(image)})
        assert (pixels == np.round(pixels)).all()
        difference = np.abs(pixels[0] - image_window(image, made_for))
        assert difference.max() <= 1, (size, difference.max())
        differing, values = differing + int((difference > 0).sum()), values + difference.size
    assert differing < 0.15 * values  # Pillow 13 begins with the height of the tall ones


def test_what_no_operator_can_do_is_refused_with_its_reason() -> None:
    assert embedding_problem(PixelSpec.default(32)) == ""
    for steps, reason in (
        ((Clahe(2, 8), ResizeShorter(40)), "enhanced first (Clahe)"),
        ((MeanFilter(3), ResizeShorter(40)), "enhanced first (MeanFilter)"),
        ((ResizeShorter(50), CenterCrop(44, 44), Resize(40, 40)), "resized twice"),
    ):
        assert reason in embedding_problem(spec(*steps))
    window = PixelSpec(
        steps=(Resize(32, 32),), canvas=(32, 32), window=(32, 32), reduced_decode=False, dicom_window="40/400"
    )
    assert "DICOM values in the window 40/400" in embedding_problem(window)
    with pytest.raises(ConfigError, match="--embed-resize is not possible for this network: the images are enhanced"):
        whole_image_card(make_card(pixels=spec(Clahe(2, 8), ResizeShorter(40))))


def test_the_card_of_such_a_file_asks_for_images_decoded_at_full_scale() -> None:
    card = make_card(pixels=PixelSpec.default(32))
    assert card.pixels.reduced_decode
    assert not whole_image_card(card).pixels.reduced_decode
    assert whole_image_card(card).pixels.steps == card.pixels.steps

"""int8: what is in 8 bits and what is not, on what it was calibrated, and which layers stay in float."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import images, make_card, run, tiny, varied
from onnx import numpy_helper

import exporter.quantize
from exporter.graph import at_precision, build_graph, finish
from exporter.opsets import newest_opset
from exporter.quantize import MIN_IMAGES, SENSITIVE, quantize, read_calibration, weight_bits
from infer.core.errors import DataError
from infer.images.preprocess import PixelSpec
from infer.model.card import Normalization
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, Bottleneck

CARD = make_card(opset=17)
LEGACY = Path(__file__).parents[1] / "data" / "legacy" / "finished"


def graph_of(network: PixelNet, opset: int = 17) -> onnx.ModelProto:
    return build_graph(at_precision(network, "fp32"), make_card(opset=opset))


@pytest.fixture(scope="module")
def quantized() -> onnx.ModelProto:
    """A graph in which no layer is kept in float for its noise, which differs between processors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter.quantize, "SENSITIVE", 1.0)
        return quantize(graph_of(varied()), images(40)).model


def kind_of_input(model: onnx.ModelProto, node: onnx.NodeProto, place: int) -> str:
    """The operator that makes an input of a node; "" for one that none makes."""
    return next((item.op_type for item in model.graph.node if node.input[place] in item.output), "")


def test_every_convolution_multiplies_8_bit_numbers_with_a_scale_per_channel(quantized: onnx.ModelProto) -> None:
    constants = {item.name: numpy_helper.to_array(item) for item in quantized.graph.initializer}
    makers = {name: node for node in quantized.graph.node for name in node.output}
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 12
    for node in convolutions:
        assert kind_of_input(quantized, node, 0) == "DequantizeLinear"
        weights, scales, _ = (constants[name] for name in makers[node.input[1]].input)
        assert weights.dtype == np.int8
        assert np.abs(weights.astype(int)).max() in (63, 64)  # no sum of two products with uint8 overflows 16 bits
        assert scales.shape == (weights.shape[0],)
    pairs = [node for node in quantized.graph.node if node.op_type == "QuantizeLinear"]
    assert {constants[node.input[2]].dtype for node in pairs} == {np.dtype(np.uint8)}


def test_the_bits_of_weights_are_those_that_the_largest_one_takes(quantized: onnx.ModelProto) -> None:
    assert weight_bits(quantized) == 7
    assert weight_bits(onnx.load(LEGACY / "int8.onnx")) == 8
    assert weight_bits(graph_of(varied())) == 7  # there is none that is too large


def test_the_last_layer_pooling_and_softmax_are_in_float(quantized: onnx.ModelProto) -> None:
    for kind in ("Flatten", "Gemm", "Softmax"):
        (node,) = [item for item in quantized.graph.node if item.op_type == kind]
        assert kind_of_input(quantized, node, 0) != "DequantizeLinear"
    (head,) = [item for item in quantized.graph.initializer if list(item.dims) == [3, 64]]
    assert head.data_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_the_file_is_a_quarter_of_the_size_and_answers_nearly_as_the_network(block: type) -> None:
    network = tiny(block)
    plain = graph_of(network)
    done = quantize(plain, images(40))
    assert done.float_layers == ("fc",)
    assert done.calibrated_on == 32
    assert 0 < done.noise < SENSITIVE
    with torch.inference_mode():
        expected = network(torch.from_numpy(images(40)))[0].numpy()
    got = run(done.model, images(40))[0]
    assert 0 < np.sqrt(((got - expected) ** 2).mean()) < 0.2 * expected.std()
    sizes = [sum(len(item.raw_data) for item in model.graph.initializer) for model in (done.model, plain)]
    assert sizes[0] < 0.4 * sizes[1]  # of so narrow a network scales and the head are a good part


@pytest.mark.parametrize("opset", [17, 18, 21, newest_opset()])
def test_an_int8_graph_is_of_the_opset_that_was_asked_for_in_plain_operators(opset: int) -> None:
    model = finish(quantize(graph_of(tiny(), opset), images(20)).model, make_card(opset=opset, precision="int8"), 4)
    assert {item.domain: item.version for item in model.opset_import} == {"": opset}
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert model.producer_name == "lab"
    assert [item.key for item in model.metadata_props] == ["lab.card"]
    assert run(model, images(4))[0].shape == (4, 3)


def test_the_same_images_give_the_same_bytes() -> None:
    plain = graph_of(tiny())
    one, two = (quantize(plain, images(20)).model.SerializeToString(deterministic=True) for _ in range(2))
    assert one == two


def test_the_graph_it_was_given_is_not_changed() -> None:
    plain = graph_of(tiny())
    before = plain.SerializeToString(deterministic=True)
    quantize(plain, images(20))
    assert plain.SerializeToString(deterministic=True) == before


def test_all_its_temporary_files_are_in_a_folder_that_the_next_one_deletes_after_a_kill(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (left,) = temporary.iterdir()
    made, mkdtemp = [], tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *args: made.append(Path(mkdtemp(*args))) or str(made[-1]))
    quantize(graph_of(tiny()), images(20))
    assert {folder.parent for folder in made} == {left}  # where the killed one's was
    assert list(temporary.iterdir()) == []


def lopsided(layer: str, factor: float) -> PixelNet:
    """Answers as `tiny`, but of a layer one channel is so large that 8 bits leave nothing of the others."""
    network = at_precision(tiny(), "fp32")
    block = network.resnet.get_submodule(layer)
    with torch.no_grad():
        block.conv1.weight[0] *= factor
        block.conv1.bias[0] *= factor
        block.conv2.weight[:, 0] /= factor
    return network


def test_layers_that_8_bits_do_not_suit_are_found_and_stay_in_float() -> None:
    messages: list[str] = []
    done = quantize(graph_of(lopsided("layer3.0", 300)), images(40), messages.append)
    assert "trying each of 12 layers alone" in messages[0]
    assert set(done.float_layers) <= {"layer3.0.conv1", "layer3.0.conv2", "fc"}
    assert len(done.float_layers) > 1
    assert done.noise <= SENSITIVE
    with torch.inference_mode():
        expected = tiny()(torch.from_numpy(images(40)))[0].numpy()
    got = run(done.model, images(40))[0]
    assert np.sqrt(((got - expected) ** 2).mean()) < 0.2 * expected.std()


def test_a_network_that_8_bits_do_not_suit_at_all_keeps_most_layers_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.quantize, "SENSITIVE", 0.0)
    assert len(quantize(graph_of(tiny()), images(20)).float_layers) == 1 + 12 // 4


def test_too_few_images_to_calibrate_on_is_an_error_with_their_number(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    files = [str(save_image(tmp_path / f"{k}.png", seed=k)) for k in range(MIN_IMAGES + 1)]
    Path(files[3]).write_bytes(b"")
    assert len(read_calibration(files, PixelSpec.default(32))) == MIN_IMAGES
    Path(files[4]).write_bytes(b"")
    with pytest.raises(DataError, match=f"needs {MIN_IMAGES}; {MIN_IMAGES - 1} of {MIN_IMAGES + 1} can be read"):
        read_calibration(files, PixelSpec.default(32))
    with pytest.raises(DataError, match=f"needs {MIN_IMAGES}; 0 of 0"):
        read_calibration([], PixelSpec.default(32))


@pytest.mark.parametrize(
    "normalization",
    [
        Normalization.per_channel((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)),
        Normalization((0.4, 0.5, 0.6), ((2.0, 0.5, 0.0), (0.1, 3.0, 0.2), (0.0, 0.3, 1.0))),
        Normalization((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), per_image=True),
    ],
    ids=["per channel", "whitening", "each image"],
)
def test_what_comes_before_the_first_convolution_stays_in_float(normalization: Normalization) -> None:
    network = tiny(normalization=normalization)
    card = make_card(opset=17, normalization=normalization)
    done = quantize(build_graph(at_precision(network, "fp32"), card), images(40))
    nodes = list(done.model.graph.node)
    first = next(node for node in nodes if node.op_type == "Conv")
    before, wanted = [], [first.input[0]]
    while wanted:
        maker = next((node for node in nodes if wanted[0] in node.output), None)
        wanted = [*wanted[1:], *(maker.input if maker else ())]
        before += [maker.op_type] if maker else []
    assert before.count("QuantizeLinear") == before.count("DequantizeLinear") == 1
    pale = np.full((2, 32, 32, 3), 128, np.uint8)
    pale[1] += np.random.default_rng(0).integers(0, 8, pale[1].shape, dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pale))[0].numpy()
    np.testing.assert_allclose(run(done.model, pale)[0], expected, atol=0.25 * max(1, np.abs(expected).max()))

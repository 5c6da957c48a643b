"""The ONNX file has the requested opset, precision and batch size, and no trace of the exporting machine."""

import getpass
import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import FULL_SIZE, SCALE, folded, images, make_card, run, tiny, traced, varied, with_statistics
from onnx import helper, numpy_helper

from exporter.graph import at_precision, build_graph, check_model, finish, trace, weights_sha256
from exporter.opsets import OLDEST_OPSET, newest_opset
from infer.core.errors import ExportError
from infer.model.card import CARD_KEY, Normalization
from infer.model.onnx_reader import read_header
from trainer.model import resnet
from trainer.model.checkpoint import load_checkpoint
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, Bottleneck, ResNet

PLAIN = {
    *("Cast", "Div", "Sub", "Mul", "Transpose", "Conv", "Relu", "MaxPool", "Add"),
    *("GlobalAveragePool", "Flatten", "Gemm", "Softmax"),
}


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, newest_opset() + 1))
def test_every_opset_is_the_requested_one_and_computes_what_torch_does(opset: int, tmp_path: Path) -> None:
    network = tiny()
    model = finish(traced(SCALE), make_card(opset=opset))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert read_header(tmp_path / "model.onnx").opsets == {"": opset}
    with torch.inference_mode():
        expected = network(torch.from_numpy(images(3)))
    for got, wanted in zip(run(model, images(3)), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("architecture", list(FULL_SIZE))
def test_every_architecture_is_right_at_the_oldest_opset_the_exporters_own_and_the_newest(architecture: str) -> None:
    block, depths = FULL_SIZE[architecture].build.args
    if architecture != "resnet50":  # one in full depth: the others have more or fewer blocks of the same kinds
        depths = tuple(min(depth, 2) for depth in depths)
    torch.manual_seed(0)
    backbone = ResNet(getattr(resnet, block), depths, classes=3, base_width=4)
    network = PixelNet(with_statistics(backbone), SCALE).eval()
    folded = at_precision(network, "fp32")
    as_traced = trace(folded, make_card(architecture=architecture))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images(2)))[0].numpy()
    for opset in (17, 18, newest_opset()):
        copied = onnx.ModelProto()
        copied.CopyFrom(as_traced)
        model = finish(copied, make_card(architecture=architecture, opset=opset))
        assert {item.domain: item.version for item in model.opset_import} == {"": opset}
        assert operators(model) == PLAIN
        np.testing.assert_allclose(run(model, images(2))[0], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_the_graph_holds_plain_operators_only(block: type) -> None:
    """Those that ONNX Runtime's CUDA provider has; none that computes shapes, which it would place on the CPU."""
    assert operators(build_graph(folded(block), make_card(opset=17))) == PLAIN


def test_a_batch_size_can_be_fixed() -> None:
    model = finish(traced(SCALE), make_card(opset=17), batch=4)
    for item in (*model.graph.input, *model.graph.output):
        assert item.type.tensor_type.shape.dim[0].dim_value == 4
    assert run(model, images(4))[0].shape == (4, 3)
    with pytest.raises(Exception, match="Got: 3 Expected: 4"):
        run(model, images(3))
    with pytest.raises(ExportError, match="--batch 5 was requested"):
        check_model(model, 17, batch=5)


def test_the_digest_of_the_weights_is_of_names_shapes_and_values() -> None:
    model = finish(traced(SCALE), make_card(opset=17))
    digest = weights_sha256(model)
    model.graph.initializer.sort(key=lambda item: item.name, reverse=True)
    assert digest == weights_sha256(model)
    model.graph.initializer[0].name += "x"
    assert digest != weights_sha256(model)
    assert digest != weights_sha256(build_graph(folded(seed=1), make_card(opset=17)))


def test_a_full_colour_matrix_is_part_of_the_graph() -> None:
    matrix = ((2.0, 0.5, 0.0), (0.1, 3.0, 0.2), (0.0, 0.3, 1.0))
    network = tiny(normalization=Normalization((0.4, 0.5, 0.6), matrix))
    model = build_graph(at_precision(network, "fp32"), make_card(opset=17))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images(2)))[0].numpy()
    np.testing.assert_allclose(run(model, images(2))[0], expected, atol=1e-4)


@pytest.mark.parametrize("opset", sorted({OLDEST_OPSET, 18, newest_opset()}))
def test_normalising_each_image_alone_is_part_of_the_graph_at_every_opset(opset: int) -> None:
    grey = Normalization((0.4, 0.5, 0.6), ((0.6, 1.2, 0.2),) * 3, per_image=True)
    network = tiny(normalization=grey)
    model = finish(traced(grey), make_card(opset=opset, normalization=grey))
    batch = images(4) // np.array([1, 2, 5, 1], np.uint8)[:, None, None, None]
    batch[3] = 77  # of one colour
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch))[0].numpy()
    np.testing.assert_allclose(run(model, batch)[0], expected, atol=1e-4)
    np.testing.assert_allclose(run(model, batch[1:2])[0], expected[1:2], atol=1e-4)  # whatever else is in the batch


def test_inputs_are_uint8_images_and_outputs_float32_with_a_free_batch_axis() -> None:
    graph = build_graph(folded(), make_card(opset=17)).graph
    shapes = {
        item.name: (
            item.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in item.type.tensor_type.shape.dim],
        )
        for item in (*graph.input, *graph.output)
    }
    assert shapes == {
        "images": (onnx.TensorProto.UINT8, ["batch", 32, 32, 3]),
        "logits": (onnx.TensorProto.FLOAT, ["batch", 3]),
        "probabilities": (onnx.TensorProto.FLOAT, ["batch", 3]),
    }


def test_half_precision_is_inside_the_network_alone() -> None:
    model = build_graph(folded(precision="fp16"), make_card(opset=17, precision="fp16"))
    weights = [numpy_helper.to_array(item) for item in model.graph.initializer if len(item.dims) == 4]
    assert {array.dtype for array in weights} == {np.dtype(np.float16)}
    logits, probabilities = run(model, images(2))
    assert logits.dtype == probabilities.dtype == np.float32
    with torch.inference_mode():
        np.testing.assert_allclose(logits, tiny()(torch.from_numpy(images(2)))[0].numpy(), atol=0.05)


def test_nothing_of_the_exporting_machine_is_in_the_file() -> None:
    model = build_graph(folded(), make_card(opset=17))
    content = model.SerializeToString()
    for secret in (str(Path(__file__).parents[2]), str(Path(torch.__file__).parent)):
        assert secret.encode() not in content
    assert f"/{getpass.getuser()}/".encode() not in content
    assert b".py" not in content
    assert [item.key for item in model.metadata_props] == [CARD_KEY]
    assert not any(item.metadata_props or item.doc_string for item in (*model.graph.node, *model.graph.input))


def test_the_same_network_gives_the_same_bytes(request: pytest.FixtureRequest) -> None:
    def exported(seed: int) -> bytes:
        return build_graph(folded(seed=seed), make_card(opset=17)).SerializeToString(deterministic=True)

    first, second = exported(0), exported(1)  # which the tests read from a file with the layers of both
    assert first != second
    request.getfixturevalue("exported_anew")
    assert exported(1) == second


@pytest.mark.usefixtures("exported_anew")
def test_export_prints_logs_and_warns_nothing(caplog: pytest.LogCaptureFixture) -> None:
    out, err = io.StringIO(), io.StringIO()
    level, handlers = logging.getLogger().level, logging.getLogger().handlers[:]
    with warnings.catch_warnings(record=True) as warned, redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("always")
        build_graph(folded(), make_card(opset=17))
    loud = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert (out.getvalue(), err.getvalue(), warned, loud) == ("", "", [], [])
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)


def graph_of(opset: int, batch: str | int = "batch") -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    node = helper.make_node("Identity", ["x"], ["y"])
    shape = onnx.TensorProto.FLOAT, [batch, 3]
    graph = helper.make_graph([node], "g", [value("x", *shape)], [value("y", *shape)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_a_model_of_another_opset_than_requested_is_refused() -> None:
    check_model(graph_of(18), 18)
    with pytest.raises(ExportError, match="opset 17 was requested"):
        check_model(graph_of(18), 17)


def test_a_model_with_a_frozen_batch_axis_is_refused() -> None:
    with pytest.raises(ExportError, match="froze the batch axis of x at 2"):
        check_model(graph_of(18, batch=2), 18)


def test_a_model_that_is_no_valid_onnx_is_refused() -> None:
    broken = graph_of(18)
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match="not valid ONNX"):
        check_model(broken, 18)


CUDA = PLAIN | {"MatMul", "AveragePool", "Pow", "Sqrt"}
"""Of these ONNX Runtime's CUDA provider has kernels, in float32 and where they are in the ResNet in half precision."""


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("per_image", [False, True])
def test_no_graph_holds_an_operator_that_cuda_lacks(precision: str, per_image: bool) -> None:
    matrix = ((2.0, 0.5, 0.0), (0.1, 3.0, 0.2), (0.0, 0.3, 1.0))
    normalization = Normalization((0.4, 0.5, 0.6), matrix, per_image=per_image)
    network = folded(normalization=normalization, precision=precision)
    assert operators(build_graph(network, make_card(opset=17, precision=precision))) <= CUDA


@pytest.mark.parametrize(("made", "claimed"), [("fp32", "fp16"), ("fp16", "fp32"), ("fp32", "int8")])
def test_a_graph_of_another_precision_than_its_card_says_is_refused(made: str, claimed: str) -> None:
    network = folded(precision=made)
    with pytest.raises(ExportError, match=f"{claimed} was requested, the convolutions' weights are"):
        build_graph(network, make_card(opset=17, precision=claimed))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_batch_normalisation_is_folded_without_changing_an_output(block: type) -> None:
    network = tiny(block)
    folded = at_precision(network, "fp32")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    pixels = torch.from_numpy(images(4))
    with torch.inference_mode():
        torch.testing.assert_close(folded(pixels)[0], network(pixels)[0], rtol=0, atol=1e-4)


def test_statistics_beyond_half_precision_survive_it(tmp_path: Path) -> None:
    network = varied()
    with torch.no_grad():
        network.resnet.conv1.weight *= 1000
        network.resnet.bn1.running_mean *= 1000
        network.resnet.bn1.running_var *= 1_000_000
    assert network.resnet.bn1.running_var.max() > 65_504
    pixels = torch.from_numpy(images(4))
    with torch.inference_mode():
        expected, got = network(pixels)[0], at_precision(network, "fp16")(pixels)[0]
    torch.testing.assert_close(got, expected, rtol=0, atol=0.02)


def test_changing_the_copy_to_export_does_not_change_the_reference(run: Path) -> None:
    network, _ = load_checkpoint(run / "best.safetensors")
    at_precision(network, "fp16").resnet.fc.weight.data.zero_()
    assert network.resnet.fc.weight.abs().sum() > 0
    assert network.resnet.fc.weight.dtype == torch.float32

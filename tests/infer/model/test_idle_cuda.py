"""What ONNX Runtime's own CUDA provider does with lab's files and options, on CUDA libraries that do nothing.

They need no GPU. They hold what lab's row of CUDA says about the installed ONNX Runtime: where a newer one differs they
fail, and the row can be changed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from helpers.idle_session import Outcome, open_and_run
from helpers.networks import images, make_card, tiny

from exporter.cam import add_cam
from exporter.export import build_model
from exporter.graph import finish
from exporter.opsets import OLDEST_OPSET, newest_opset
from infer.model.opset_limit import opens_opset
from infer.model.precision import PRECISIONS
from infer.model.providers import CUDA, CUDA_GRAPH, Options

pytestmark = pytest.mark.long

InChild = Callable[[Sequence[Callable[[], Any]]], list[Any]]
BATCH = (2, 32, 32, 3)
OPSETS = range(OLDEST_OPSET, newest_opset() + 1)
ON_CUDA = [precision for precision in PRECISIONS if precision not in CUDA.unsupported]


def save_model(path: Path, precision: str, opset: int, cam: bool = False) -> onnx.ModelProto:
    """Export the tiny network, and return the model that was saved."""
    model, card = build_model(tiny(), make_card(precision=precision, opset=opset), images(8))
    if cam:
        add_cam(model)
        model = finish(model, card)
    onnx.save(model, path)
    return model


def run_each(in_child: InChild, model: Path, options: Sequence[Options], loud: bool = False) -> list[Outcome]:
    """A run with each of these options; it must succeed."""
    outcomes = in_child([partial(open_and_run, model, item, BATCH, classes=3, loud=loud) for item in options])
    assert not [outcome.error for outcome in outcomes if outcome.error]
    return outcomes


@pytest.mark.parametrize("precision", ON_CUDA)
def test_cuda_runs_every_node_at_opsets_up_to_the_newest_of_its_row_and_at_no_newer_one(
    precision: str, idle_cuda: InChild, tmp_path: Path
) -> None:
    for opset in OPSETS:
        save_model(tmp_path / f"{opset}.onnx", precision, opset, cam=True)
    options = CUDA.tuning_candidates(precision)
    calls = [(opset, partial(open_and_run, tmp_path / f"{opset}.onnx", item)) for opset in OPSETS for item in options]
    outcomes = idle_cuda([call for _, call in calls])
    opened = Counter(opset for (opset, _), outcome in zip(calls, outcomes, strict=True) if not outcome.error)
    assert CUDA.newest_opset is not None
    assert opened == {opset: len(options) for opset in range(OLDEST_OPSET, CUDA.newest_opset + 1)}
    reasons = ("default CPU EP", "not been partitioned to the CUDAExecutionProvider")
    assert all(any(reason in outcome.error for reason in reasons) for outcome in outcomes if outcome.error)


def test_the_probe_by_which_a_gpu_finds_its_newest_opset_agrees_with_the_row(idle_cuda: InChild) -> None:
    opened = idle_cuda([partial(opens_opset, CUDA, opset) for opset in OPSETS])
    assert [opset for opset, opens in zip(OPSETS, opened, strict=True) if opens][-1] == CUDA.newest_opset
    assert opened == sorted(opened, reverse=True)


def test_cuda_lacks_a_kernel_for_a_precision_that_its_row_calls_unsupported(idle_cuda: InChild, tmp_path: Path) -> None:
    (precision,) = CUDA.unsupported
    save_model(tmp_path / "model.onnx", precision, OLDEST_OPSET)
    (outcome,) = idle_cuda([partial(open_and_run, tmp_path / "model.onnx", CUDA.default_options(precision))])
    assert "default CPU EP" in outcome.error


@pytest.mark.parametrize("precision", ON_CUDA)
def test_with_every_option_that_lab_uses_cudnn_plans_each_convolution_once_and_nothing_is_printed(
    precision: str, idle_cuda: InChild, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "model.onnx", precision, OLDEST_OPSET)
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    options = [item for item in CUDA.tuning_candidates(precision) if item[CUDA_GRAPH] == "0"]
    for outcome in run_each(idle_cuda, tmp_path / "model.onnx", options, loud=True):
        counted = {name: outcome.calls[name] for name in ("heuristics", "plans", "cudnnBackendExecute")}
        assert set(counted.values()) == {convolutions}
        assert outcome.printed == ""


def test_without_tf32_fp16_plans_each_convolution_twice_and_prints_past_the_sessions_log_level(
    idle_cuda: InChild, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "model.onnx", "fp16", OLDEST_OPSET)
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    options = {**CUDA.default_options("fp16"), "use_tf32": "0"}
    (loud,) = run_each(idle_cuda, tmp_path / "model.onnx", [options], loud=True)
    assert loud.calls["heuristics"] == 2 * convolutions
    assert loud.printed.count("No execution plans support the graph") == convolutions
    (quiet,) = run_each(idle_cuda, tmp_path / "model.onnx", [options])
    assert quiet.printed == ""


def test_each_bias_of_a_convolution_is_a_call_of_its_own_unless_it_is_fused_which_needs_tf32(
    idle_cuda: InChild, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "model.onnx", "fp16", OLDEST_OPSET)
    biases = sum(node.op_type == "Conv" and len(node.input) == 3 for node in model.graph.node)
    assert biases > 0
    default = CUDA.default_options("fp16")
    fused = {**default, "fuse_conv_bias": "1"}
    plain, with_fusion, without_tf32 = run_each(
        idle_cuda, tmp_path / "model.onnx", [default, fused, {**fused, "use_tf32": "0"}]
    )
    assert [run.calls["cudnnAddTensor"] for run in (plain, with_fusion, without_tf32)] == [biases, 0, biases]
    assert plain.kernels == with_fusion.kernels > 0


@pytest.mark.parametrize("precision", ON_CUDA)
def test_a_cuda_graph_is_captured_and_replayed(precision: str, idle_cuda: InChild, tmp_path: Path) -> None:
    save_model(tmp_path / "model.onnx", precision, OLDEST_OPSET)
    graphs = [item for item in CUDA.tuning_candidates(precision) if item[CUDA_GRAPH] == "1"]
    assert graphs
    for outcome in run_each(idle_cuda, tmp_path / "model.onnx", graphs):
        assert outcome.calls["cudaGraphLaunch"] == 2  # after the capture, and for the batch


def test_the_libraries_that_do_nothing_are_loaded_in_the_child_alone(idle_cuda: InChild) -> None:
    read_maps = partial(Path.read_text, Path("/proc/self/maps"))
    opened, in_child = idle_cuda([partial(opens_opset, CUDA, OLDEST_OPSET), read_maps])
    assert opened
    assert "idle_cuda.so" in in_child
    assert "site-packages/nvidia/" not in in_child
    assert "idle_cuda.so" not in read_maps()

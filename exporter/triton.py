"""`lab export --triton`: a sealed file as a model of Triton Inference Server's repository, with its configuration.

The fields of config.pbtxt: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from infer.config import Device
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.core.files import atomic_folder, require_new
from infer.model.card import ModelCard, read_card
from infer.model.input_kinds import model_files
from infer.model.onnx_reader import ValueInfo, read_graph
from infer.model.providers import CUDA
from infer.model.seal import require_sealed

TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}
"""Triton's names of the types of a lab file's inputs and outputs."""
QUEUE_DELAY = 5_000
"""Microseconds that a request waits for others to share its batch."""
OPTION, LABELS = "--triton", "labels.txt"


def model_folder(repository: Path, model: Path) -> Path:
    """The folder of a model in a repository; its name is the model's in requests.

    It is the file's name without `.onnx`, or that of its run where the file has the name that all runs' files have.
    """
    kind = model.stem.partition(".")[2].replace(".", "-")
    own = "-".join(filter(None, (model.absolute().parent.name, kind)))
    name = own if model.name in model_files() else model.stem
    return repository / (re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "model")


def check_triton(model: Path, repository: Path, card: ModelCard, device: Device) -> None:
    """Raises ConfigError where `write_triton` would."""
    require_new(model_folder(repository, model), OPTION)
    _instance_kind(card, device)


def write_triton(model: Path, repository: Path, device: Device, screen: Screen) -> Path:
    """Write the folder of a model into a repository; returns its path. It appears whole or not at all.

    Args:
        model: a file that `lab export` wrote.
        repository: created if it does not exist; it may hold other models.
        device: where Triton is to run it; "auto": on a GPU where there is one and the file can run on it.
        screen: is told the folder and the next command.

    Raises:
        ModelError: the file cannot be used, has no evidence, or was changed since its export.
        ConfigError: the model's folder exists, or no GPU can run the file and `device` is "cuda".
        OutputError: the folder cannot be written.
    """
    require_sealed(model)
    folder, card = model_folder(repository, model), read_card(model)
    check_triton(model, repository, card, device)
    with atomic_folder(folder, OPTION) as draft:
        (draft / "1").mkdir()
        copy = draft / "1" / "model.onnx"
        shutil.copyfile(model, copy)
        checks = require_sealed(copy).content["checks"]  # of the copy, which is what Triton reads
        most = max(check["batch"] for check in checks)
        text = configuration(copy, folder.name, most, _instance_kind(card, device))
        (draft / "config.pbtxt").write_text(text, encoding="utf-8")
        (draft / LABELS).write_text(_label_lines(card), encoding="utf-8")
    screen.say(f"Triton model: {folder}\nnext: tritonserver --model-repository={repository.absolute()}")
    return folder


def configuration(model: Path, name: str, most: int, kind: str) -> str:
    """The content of config.pbtxt.

    Args:
        model: the ONNX file.
        name: the model's, which must be that of its folder.
        most: the largest batch that the file was compared with its network in; it is the largest that Triton forms.
        kind: of the instances: KIND_CPU, KIND_GPU or KIND_AUTO.
    """
    graph = read_graph(model)
    images = graph.input_values[0]
    fixed = isinstance(images.shape[0], int)  # then every request is a whole batch, and Triton forms none
    blocks = [f'name: "{name}"', 'backend: "onnxruntime"', f"max_batch_size: {0 if fixed else most}"]
    blocks += [_tensor_block("input", images, fixed)]
    blocks += [_tensor_block("output", tensor, fixed) for tensor in graph.output_values]
    if not fixed:
        blocks.append(
            f"dynamic_batching {{\n  preferred_batch_size: {_sizes(most)}\n"
            f"  max_queue_delay_microseconds: {QUEUE_DELAY}\n}}"
        )
    blocks.append(f"instance_group [ {{ kind: {kind} count: 1 }} ]")
    blocks += [_warm_up(images, fixed, batch) for batch in sorted({1, *([] if fixed else _sizes(most))})]
    return "\n".join(blocks) + "\n"


def _instance_kind(card: ModelCard, device: Device) -> str:
    """Where Triton is to run a model. Raises ConfigError for a GPU where no GPU can run it."""
    problem = CUDA.unsupported.get(card.precision)
    if CUDA.newest_opset and card.opset and card.opset > CUDA.newest_opset:
        problem = problem or f"GPUs run opsets up to {CUDA.newest_opset}, and the file has {card.opset}; export it anew"
    if device == CUDA.device:
        if problem:
            raise ConfigError(f"--device {device} is not possible for this file: {problem}")
        return "KIND_GPU"
    return "KIND_CPU" if problem or device != "auto" else "KIND_AUTO"


def _sizes(most: int) -> list[int]:
    """The sizes of batches that Triton prefers: a quarter, a half and all of the largest."""
    return sorted({size for size in (most // 4, most // 2, most) if size > 1} or {most})


def _tensor_block(field: str, tensor: ValueInfo, fixed: bool) -> str:
    labels = f'    label_filename: "{LABELS}"\n' if tensor.name == "probabilities" else ""
    return (
        f'{field} [\n  {{\n    name: "{tensor.name}"\n    data_type: {TYPES[tensor.dtype]}\n'
        f"    dims: {_dimensions(tensor, fixed)}\n{labels}  }}\n]"
    )


def _warm_up(images: ValueInfo, fixed: bool, batch: int) -> str:
    """A batch of black images that runs before the model is ready."""
    return (
        f'model_warmup [\n  {{\n    name: "batch of {batch}"\n    batch_size: {batch}\n'
        f'    inputs {{\n      key: "{images.name}"\n      value {{ data_type: {TYPES[images.dtype]} '
        f"dims: {_dimensions(images, fixed)} zero_data: true }}\n    }}\n  }}\n]"
    )


def _dimensions(tensor: ValueInfo, fixed: bool) -> Sequence[int | str]:
    """A tensor's shape, without the batch where Triton adds it."""
    return list(tensor.shape[0 if fixed else 1 :])


def _label_lines(card: ModelCard) -> str:
    """The labels as in CSVs, in the order of the outputs, one a line."""
    return "".join(f"{' '.join(item.label.split())}\n" for item in card.classes)

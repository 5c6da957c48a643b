"""Steps of bench/gpu_day.py on CUDA libraries that do nothing: for the child process of helpers/idle_cuda.py."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.providers import CUDA


def network_rows(work: Path) -> list[dict[str, Any]]:
    """The rows of the network alone, of the models in a folder, with the sizes of a dry run."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
    import gpu_networks
    import gpu_setting

    class Small(gpu_setting.Setting):
        @property
        def sizes(self) -> gpu_setting.Sizes:
            return gpu_setting.DRY

    return list(gpu_networks.network_alone(Small(work), "resnet18"))


def exhausts(model: Path, count: int, side: int, limit: int) -> tuple[str, bool]:
    """What a batch of `count` images ends with where the provider may use `limit` bytes, and whether lab knows it."""
    options = {**CUDA.default_options("fp32"), "gpu_mem_limit": str(limit)}
    session = open_onnx(model, CUDA, 1, options)
    session.run(None, {"images": np.zeros((1, side, side, 3), np.uint8)})
    try:
        session.run(None, {"images": np.zeros((count, side, side, 3), np.uint8)})
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base but this
        return str(error), is_out_of_memory(error)
    return "", False

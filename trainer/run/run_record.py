"""run.json in a run's folder: what computed its epochs, and what they started from, for `lab reproduce`.

The options of a run are in its recipe.toml and its images in data.csv.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from infer.core.environment import environment
from infer.core.errors import DataError
from infer.core.files import write_text
from infer.core.parse import parse_json
from infer.model.runs import RECORD
from trainer.data.cache import Canvases
from trainer.run.distributed import ProcessGroup

VERSION = 1
PACKAGES = ("torch", "torchvision", "numpy", "pillow")


@dataclass(frozen=True)
class Part:
    """Epochs that one process, or group of processes, has trained: up to those of the next part."""

    first_epoch: int
    environment: dict[str, str]


@dataclass(frozen=True)
class RunRecord:
    """What computed a run. A run that an earlier version of lab began has no parts for its first epochs."""

    parts: tuple[Part, ...]
    pixels_sha256: str = ""
    """Of the decoded images of the first stage; "" where it was not recorded."""
    start_sha256: str = ""
    """Of the initial weights, as `weights_sha256`; "" where it was not recorded."""

    def resumed(self, part: Part) -> "RunRecord":
        """The record with another part, which replaces those of the epochs that it repeats."""
        kept = tuple(old for old in self.parts if old.first_epoch < part.first_epoch)
        same = bool(kept) and kept[-1].environment == part.environment
        return replace(self, parts=kept if same else (*kept, part))

    def write(self, run: Path) -> None:
        """Write run.json. Raises OutputError."""
        write_text(run / RECORD, json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n")


def read_record(run: Path) -> RunRecord | None:
    """Read a run's record; None where an earlier version of lab trained it.

    Raises:
        DataError: the file is damaged, or a later version of lab wrote it.
    """
    path = run / RECORD
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise DataError(f"{path} was written by a later version of lab; use that one")
        return RunRecord(**{**content, "parts": tuple(_read_part(part) for part in content["parts"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it to do without what it records") from error


def _read_part(values: dict[str, Any]) -> Part:
    return Part(int(values["first_epoch"]), {str(name): str(text) for name, text in values["environment"].items()})


def record_start(run: Path, start_sha256: str) -> None:
    """Add to a new run's record which weights it starts from. Raises OutputError, DataError."""
    if record := read_record(run):
        replace(record, start_sha256=start_sha256).write(run)


def training_environment(device: torch.device, group: ProcessGroup) -> dict[str, str]:
    """What computes on this machine: `environment`, and torch's instruction set, device, threads and processes."""
    found = {**environment(PACKAGES), "torch's instruction set": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found["device"] = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
    else:
        found["device"] = device.type
    return {**found, "threads": str(torch.get_num_threads()), "processes": str(group.world_size)}


def pixels_sha256(canvases: Canvases) -> str:
    """SHA-256 over the checksums of all decoded images, in the order of the table."""
    return hashlib.sha256(json.dumps(canvases.checksums).encode()).hexdigest()

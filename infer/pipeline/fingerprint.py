"""Which prediction it is: what must be the same for answers that were kept to be those of a later one."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import PIL

from infer.config import PredictConfig, ReportConfig
from infer.core.errors import DataError
from infer.core.files import sha256_of
from infer.core.remote import Remote
from infer.model.onnx_session import runtime_version
from infer.model.session import Session
from infer.tables.inputs import Inputs

Identity = Mapping[str, str]
"""Each part by what people call it."""


def identity_of(config: PredictConfig, sessions: Sequence[Session], inputs: Inputs) -> Callable[[], Identity]:
    """`identify`, for later: the models must then still be the files that they are now."""
    opened = [_stamp(session.path) for session in sessions]

    def told() -> Identity:
        for session, stamp in zip(sessions, opened, strict=True):
            if _stamp(session.path) != stamp:
                raise DataError(f"{session.path} was replaced while it was predicting; predict again")
        return identify(config, sessions, inputs)

    return told


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def identify(config: PredictConfig, sessions: Sequence[Session], inputs: Inputs) -> Identity:
    """What must be the same for answers to be those of one prediction.

    What is done about bad images, and how the report looks, may change: it is decided again for all rows.
    """
    aside = {*("source", "out", "model", "device", "bad_images", "tune", "restart")}
    aside |= {item.name for item in fields(ReportConfig)}
    options = [f"{item.name}={getattr(config, item.name)}" for item in fields(config) if item.name not in aside]
    here, names = os.getcwd(), hashlib.sha256()
    for file in inputs.files:
        place = str(file) if isinstance(file, Remote) else os.path.join(here, str(file))
        names.update(place.encode("utf-8", "surrogateescape") + b"\0")
    device = [f"{session.provider} {dict(session.options)}" for session in sessions]
    versions = [f"onnxruntime {runtime_version()}", f"pillow {PIL.__version__}", f"numpy {np.__version__}"]
    if config.decode == "gpu":
        from infer.pipeline.nvjpeg import decoder_version

        versions.append(f"nvimgcodec {decoder_version()}")
    return {
        "models": " ".join(sha256_of(session.path) for session in sessions),
        "images": f"{len(inputs.files)}, {names.hexdigest()}",
        "options": " ".join(options),
        "device": f"ray, {config.device}" if config.engine == "ray" else " ".join(device),
        "versions": ", ".join(versions),
    }

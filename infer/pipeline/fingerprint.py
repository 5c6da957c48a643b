"""Fingerprint of a prediction: what must match before saved predictions are reused."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import PIL

from infer.config import PredictConfig, ReportConfig
from infer.core.errors import DataError
from infer.core.remote import Remote
from infer.model.onnx_session import runtime_version
from infer.model.open_models import without_auto
from infer.model.openvino_runtime import openvino_version
from infer.model.providers import ONNXRUNTIME_LIBRARY, OPENVINO_LIBRARY
from infer.model.session import Session
from infer.tables.inputs import Inputs

FREE_TO_CHANGE = {
    *("source", "out", "model", "device", "runtime", "bad_images", "tune", "restart", "label_column"),
    "accept_changed",
}
"""Options that are not compared, besides those of the report: either another part of the fingerprint covers what they
choose, or they are applied again to all rows."""


class Fingerprint:
    """What must match before saved predictions are reused; it takes time to compute and is computed when needed."""

    def __init__(self, config: PredictConfig, sessions: Sequence[Session], inputs: Inputs) -> None:
        """Remember which files the models are now."""
        self._config, self._sessions, self._inputs = config, sessions, inputs
        self._opened = [_file_identity(session.path) for session in sessions]

    def parts(self) -> Mapping[str, str]:
        """The fingerprint's parts, under the names that a user knows them by.

        Raises:
            DataError: a model file was replaced since it was opened.
        """
        for session, opened in zip(self._sessions, self._opened, strict=True):
            if _file_identity(session.path) != opened:
                raise DataError(f"--model {session.path} was replaced during the prediction; predict again")
        config = self._config
        compared = [item.name for item in fields(config) if item.name not in _not_compared()]
        return {
            "models": " ".join(session.file_sha256 for session in self._sessions),
            "images": f"{len(self._inputs.files)}, {self._images_digest()}",
            "options": " ".join(f"{name}={getattr(config, name)}" for name in compared),
            "device": devices(config, self._sessions),
            "versions": ", ".join(versions(config, self._sessions)),
        }

    def _images_digest(self) -> str:
        """SHA-256 of the images' absolute paths and URIs, in order."""
        folder, digest = os.getcwd(), hashlib.sha256()
        for file in self._inputs.files:
            path = str(file) if isinstance(file, Remote) else os.path.join(folder, str(file))
            digest.update(path.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()


def _not_compared() -> set[str]:
    return FREE_TO_CHANGE | {item.name for item in fields(ReportConfig)}


def devices(config: PredictConfig, sessions: Sequence[Session]) -> str:
    """What runs the models: the provider of each, with its options, or a cluster's workers."""
    if config.engine == "ray":
        return _cluster(config)
    return " ".join(f"{session.provider} {dict(session.options)}" for session in sessions)


def _cluster(config: PredictConfig) -> str:
    """What a cluster's workers run: ONNX Runtime, of which nothing is said, or the runtime that was named."""
    runtime = without_auto(config.runtime)
    return f"ray, {config.device}" + (f", {runtime}" if runtime != ONNXRUNTIME_LIBRARY else "")


def versions(config: PredictConfig, sessions: Sequence[Session]) -> list[str]:
    """The libraries that decide the probabilities, each as `pillow 13.0.0`."""
    found = [f"onnxruntime {runtime_version()}", f"pillow {PIL.__version__}", f"numpy {np.__version__}"]
    if any(session.provider.library == OPENVINO_LIBRARY for session in sessions):
        found.append(f"openvino {openvino_version()}")
    if config.decode == "gpu":
        from infer.pipeline.nvjpeg import decoder_version

        found.append(f"nvimgcodec {decoder_version()}")
    return found


def _file_identity(path: Path) -> tuple[int, int, int]:
    """Another file of this name, or another content, has another inode, size or modification time."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns

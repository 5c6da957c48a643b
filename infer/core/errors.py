"""Every error that a user can cause, as one tree.

    LabError                exit code 1, printed as one line
    ├── ConfigError         exit code 2: an option whose value makes no sense
    ├── DataError           images, labels, splits
    │   └── ImageError      one image that cannot be decoded
    ├── ModelError          a checkpoint or ONNX file that lab cannot use
    ├── DeviceError         a GPU, a provider or its memory
    ├── OutputError         something that cannot be written
    ├── TrainingError       training cannot go on
    ├── ExportError         the exported file is not what was asked for
    │   └── ParityError     ... it does not answer as the network did
    └── MissingExtraError   an optional part of lab is not installed

A message says what is wrong, what was found, and what to do about it.
"""


class LabError(Exception):
    """An error to show to the user as one line."""

    exit_code = 1


class ConfigError(LabError):
    """An option whose value makes no sense."""

    exit_code = 2


class DataError(LabError):
    """Images, labels or splits are not usable as they are."""


class ImageError(DataError):
    """One image cannot be decoded.

    Attributes: path (str), reason (str), transient (bool): whether it may be readable another time.
    """

    def __init__(self, path: str, reason: str, transient: bool = False) -> None:
        super().__init__(path, reason, transient)
        self.path = path
        self.reason = reason
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ModelError(LabError):
    """A checkpoint or ONNX file that lab cannot use."""


class DeviceError(LabError):
    """The device that was asked for is not there, or its memory is exhausted."""


class OutputError(LabError):
    """A file or folder cannot be written."""


class TrainingError(LabError):
    """Training cannot go on."""


class ExportError(LabError):
    """The exported file is not what was asked for."""


class ParityError(ExportError):
    """The exported file does not answer as the network did."""


class MissingExtraError(LabError):
    """An optional part of lab is not installed."""

"""The errors that a user can cause, as one tree.

    LabError                any of these; exit code 1, printed as one line
    ├── ConfigError         an option with an invalid value; exit code 2
    ├── DataError           images, labels or splits that cannot be used
    │   └── ImageError      an image that cannot be decoded
    ├── ModelError          a checkpoint or ONNX file that cannot be used
    ├── DeviceError         a device that is unavailable or out of memory
    ├── OutputError         a file or folder that cannot be written
    ├── TrainingError       training that cannot continue
    ├── ExportError         an exported file that is not as requested
    │   └── ParityError     an exported file whose outputs differ from the network's
    ├── ReproductionError   a run or prediction that was repeated with another result; exit code 3
    └── MissingExtraError   an optional dependency that is not installed

A message says what is wrong, what was found, and the remedy.
"""


class LabError(Exception):
    """Base of all errors; shown to the user as one line."""

    exit_code = 1


class ConfigError(LabError):
    """An option has an invalid value."""

    exit_code = 2


class DataError(LabError):
    """Images, labels or splits cannot be used."""


class ImageError(DataError):
    """An image cannot be decoded.

    Attributes:
        path: the image.
        reason: why it cannot be decoded, without its path.
        transient: whether another attempt may succeed, as after a network error.
    """

    def __init__(self, path: str, reason: str, transient: bool = False) -> None:
        super().__init__(path, reason, transient)
        self.path = path
        self.reason = reason
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ModelError(LabError):
    """A checkpoint or ONNX file cannot be used."""


class DeviceError(LabError):
    """The requested device is unavailable or out of memory."""


class OutputError(LabError):
    """A file or folder cannot be written."""


class TrainingError(LabError):
    """Training cannot continue."""


class ExportError(LabError):
    """The exported file is not as requested."""


class ParityError(ExportError):
    """The outputs of the exported file differ from those of the network."""


class ReproductionError(LabError):
    """A run or a prediction was repeated, and the result differs."""

    exit_code = 3


class MissingExtraError(LabError):
    """An optional dependency is not installed."""

"""What a program imports: `from lab import load; load("model.onnx").predict("cells/")`. See `load`."""

from infer import load
from infer.core.errors import LabError
from infer.version import __version__

__all__ = ["LabError", "__version__", "load"]

"""Keeps libtiff, with which Pillow decodes TIFF, from printing what is wrong with a file."""

import contextlib
import ctypes

from PIL import _imaging

HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
"""Functions that replace what libtiff calls with a message; by default it prints to the standard error."""


def silence_libtiff() -> None:
    """Let libtiff drop its messages in this process; where its functions are not to be found, it goes on printing.

    Whoever sends images to a server would write to its log otherwise, and an error of lab's would not be one line.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        pillow = ctypes.CDLL(_imaging.__file__)  # a name is looked up in the libraries that it was linked with, too
        for name in HANDLERS:
            function = getattr(pillow, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)

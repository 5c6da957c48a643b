"""An image that a client has sent: a file in memory."""

import io
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Upload:
    """An image file's bytes, and the name that the client gave it."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Return the content as a file in memory."""
        return io.BytesIO(self.content)

    def changed(self) -> float:
        """When it was changed, in seconds since 1970: never."""
        return 0.0

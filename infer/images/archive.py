"""Images inside zip and tar files, read where they lie: nothing is unpacked to disk."""

import io
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from infer.core.errors import DataError
from infer.core.remote import Remote
from infer.core.text import listed
from infer.images.listing import is_image, natural_key
from infer.images.skipped import OTHER, Skipped, file_reason, folder_reason

ZIP, TAR = ".zip", ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
MAX_MEMBER = 500_000_000
"""Bytes of one image, compressed or not; a larger one is refused as a bomb."""
LOCAL_HEADER = 30
"""Bytes before the name of a member in a zip file."""


@dataclass(frozen=True)
class Member:
    """One file inside an archive; any thread or process can read it without the others."""

    archive: str
    name: str
    """As in the archive, with `/` between folders."""
    offset: int
    """Where its header (zip) or its content (tar) begins."""
    stored: int
    """Bytes that it takes in the archive."""
    size: int
    """Bytes of its content."""
    method: int | None
    """How a zip file stores it; None in a tar file."""
    crc: int = 0
    """Of the content, in a zip file."""

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def open(self) -> BinaryIO:
        """The content.

        Raises:
            OSError: the archive cannot be read.
            ValueError: the member is damaged, too large, or compressed in another way than `deflate`.
        """
        if max(self.size, self.stored) > MAX_MEMBER:
            raise ValueError(f"{self.size} bytes, more than {MAX_MEMBER // 10**6} million")
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            if self.method is not None:
                header = file.read(LOCAL_HEADER)
                if header[:4] != b"PK\x03\x04":
                    raise ValueError("the archive is damaged: there is no member where its directory says")
                lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
                file.seek(sum(lengths), 1)
            content = file.read(self.stored)
        return io.BytesIO(content if self.method is None else self._unpacked(content))

    def _unpacked(self, content: bytes) -> bytes:
        if self.method == DEFLATED:
            try:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
            except zlib.error as error:
                raise ValueError(f"the archive is damaged: {error}") from error
        elif self.method != STORED:
            raise ValueError(f"compressed by method {self.method}; lab reads stored and deflated members")
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise ValueError("the archive is damaged: a checksum differs")
        return content


File = str | Member | Remote
"""Where an image lies: a path, a member of an archive, or a file of a remote system."""


def read_content(file: File) -> bytes:
    """A file's bytes, wherever it lies. Raises OSError, and ValueError where an archive is damaged."""
    return Path(file).read_bytes() if isinstance(file, str) else file.open().read()


def is_archive(path: Path) -> bool:
    """Whether the name ends as an archive's does."""
    return path.name.lower().endswith((ZIP, TAR, *COMPRESSED))


def list_members(path: Path, skipped: Skipped | None = None) -> list[Member]:
    """The images in a zip or tar file, in natural order; other files are skipped as in folders, and counted.

    Raises:
        DataError: as `list_files`, or two images have one name.
    """
    images = [member for member in list_files(path) if _is_read(member.name, skipped or Skipped())]
    if twice := [name for name, times in Counter(member.name for member in images).items() if times > 1]:
        raise DataError(f"{path} has two members of one name: {listed(twice)}; make it again")
    return sorted(images, key=lambda member: natural_key(member.name))


def list_files(path: Path) -> list[Member]:
    """All files in a zip or tar file, in its order.

    Raises:
        DataError: it cannot be read, is a compressed tar file, is encrypted, or names members outside itself.
    """
    name = path.name.lower()
    if name.endswith(COMPRESSED):
        raise DataError(f"{path} is compressed as a whole, so its images cannot be reached one by one; make it a .tar")
    try:
        found = _in_zip(path) if name.endswith(ZIP) else _in_tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{path} is not a {name.rpartition('.')[2]} file, or is damaged: {error}; make it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    if hostile := [member.name for member in found if _is_hostile(member.name)]:
        raise DataError(f"{path} names members outside itself: {listed(hostile)}; do not trust it")
    return found


def _in_zip(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        files = [item for item in archive.infolist() if not item.is_dir()]
    if locked := [item.filename for item in files if item.flag_bits & 1]:
        raise DataError(f"{path} is encrypted: {listed(locked)}; unpack it first")
    return [
        Member(
            archive=str(path),
            name=item.orig_filename,  # `filename` has been made harmless
            offset=item.header_offset,
            stored=item.compress_size,
            size=item.file_size,
            method=item.compress_type,
            crc=item.CRC,
        )
        for item in files
    ]


def _in_tar(path: Path) -> list[Member]:
    with tarfile.open(path, "r:") as archive:
        return [
            Member(str(path), item.name.removeprefix("./"), item.offset_data, item.size, item.size, None)
            for item in archive
            if item.isreg() and not item.issparse()
        ]


def _is_hostile(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or bool(re.match("[A-Za-z]:", name))


def is_hidden(name: str) -> bool:
    """Whether a member is hidden, or a file that another program left."""
    *folders, file = PurePosixPath(name).parts
    return any(map(folder_reason, folders)) or file_reason(file) is not None


def _is_read(name: str, skipped: Skipped) -> bool:
    """Whether a member is an image to read; one that is not is counted."""
    *folders, file = PurePosixPath(name).parts
    for folder in folders:
        if reason := folder_reason(folder):
            skipped.add(reason, folder)
            return False
    if reason := file_reason(file):
        skipped.add(reason, file)
        return False
    if not is_image(file):
        skipped.add(OTHER, PurePosixPath(file).suffix.lower() or "no suffix")
        return False
    return True

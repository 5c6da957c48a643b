"""Images inside zip and tar files, read without unpacking them to disk."""

import io
import tarfile
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from infer.core.errors import DataError
from infer.core.remote import Remote
from infer.core.text import listed
from infer.images.archive_entries import follow_links, is_link, leads_outside, link_target, plain_name, zip_name
from infer.images.formats import HEAD, format_of
from infer.images.listing import SUFFIX, is_image, natural_key
from infer.images.skipped import LINKS, NESTED, OTHER, Skipped, file_reason, folder_reason
from infer.images.upload import Upload

ZIP, TAR = ".zip", ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
MAX_MEMBER = 500_000_000
"""Bytes of one image, compressed or not; a larger one is refused as a bomb."""
LOCAL_HEADER = 30
"""Bytes before the name of a member in a zip file."""
MAX_PATH = 4096
"""Bytes of the path that a link in a zip file leads to, as on Linux."""


@dataclass(frozen=True)
class Member:
    """One file inside an archive; any thread or process can read it without the others."""

    archive: str
    name: str
    """As in the archive, with `/` between folders."""
    offset: int
    """Byte in the archive at which its header (zip) or its content (tar) begins."""
    stored: int
    """Size in the archive, in bytes; smaller than `size` where it is compressed."""
    size: int
    """Size of the content, in bytes."""
    method: int | None
    """Compression method of the zip format (`zipfile.ZIP_DEFLATED`, ...); None in a tar file."""
    crc: int = 0
    """CRC-32 of the content, in a zip file."""
    encrypted: bool = False

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def open(self) -> BinaryIO:
        """Return the content as a file in memory.

        Raises:
            OSError: the archive cannot be read.
            ValueError: the member is damaged, encrypted, too large, or compressed in another way than `deflate`.
        """
        if self.encrypted:
            raise ValueError("encrypted; unpack the archive first")
        if max(self.size, self.stored) > MAX_MEMBER:
            raise ValueError(f"{self.size} bytes, more than {MAX_MEMBER // 10**6} million")
        content = self._read(self.stored)
        return io.BytesIO(content if self.method is None else self._unpacked(content))

    def head(self) -> bytes:
        """The first HEAD bytes of the content, or fewer, not checked; none where they cannot be read."""
        try:
            content = b"" if self.encrypted else self._read(min(self.stored, 4 * HEAD))
            if self.method == DEFLATED:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, HEAD)
        except (OSError, ValueError, zlib.error):
            return b""
        return content[:HEAD] if self.method in (None, STORED, DEFLATED) else b""

    def _read(self, size: int) -> bytes:
        """The first bytes as they are in the archive. Raises OSError, or ValueError where it is damaged."""
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            if self.method is not None:
                header = file.read(LOCAL_HEADER)
                if header[:4] != b"PK\x03\x04":
                    raise ValueError("the archive is damaged: there is no member where its directory says")
                lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
                file.seek(sum(lengths), 1)
            return file.read(size)

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


File = str | Member | Remote | Upload
"""An image file: a path, a member of an archive, a file of a remote file system, or a client's."""


def read_content(file: File) -> bytes:
    """Return the bytes of a file of any kind. Raises OSError, and ValueError where an archive is damaged."""
    return Path(file).read_bytes() if isinstance(file, str) else file.open().read()


def is_archive(path: PurePath) -> bool:
    """Whether the name has the suffix of an archive, in any case."""
    return path.name.lower().endswith((ZIP, TAR, *COMPRESSED))


def list_members(path: Path, skipped: Skipped | None = None) -> list[Member]:
    """List the images in a zip or tar file, in natural order; other files are skipped as in folders, and counted.

    Raises:
        DataError: as `list_files`, or two images have one name.
    """
    skipped = skipped or Skipped()
    images = [member for member in list_files(path, skipped) if is_read(member.name, skipped, member)]
    if twice := [name for name, times in Counter(member.name for member in images).items() if times > 1]:
        raise DataError(f"{path} has two members of one name: {listed(twice)}; make it again")
    return sorted(images, key=lambda member: natural_key(member.name))


def list_files(path: Path, skipped: Skipped | None = None) -> list[Member]:
    """List all files in a zip or tar file, in its order, then those that its links lead to.

    Args:
        path: of the archive.
        skipped: counts links that lead to no file of the archive, and entries that are neither files nor folders.

    Raises:
        DataError: it cannot be read, is a compressed tar file, is encrypted, or names members outside itself.
    """
    name = path.name.lower()
    if name.endswith(COMPRESSED):
        raise DataError(f"{path} is compressed as a whole, so its images cannot be reached one by one; make it a .tar")
    try:
        entries = _in_zip(path) if name.endswith(ZIP) else _in_tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not a {name.rpartition('.')[2]} file, or is damaged: {error}; make it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    names = [member.name for member in entries.files] + list(entries.links)
    if hostile := [name for name in names if leads_outside(name)]:
        raise DataError(f"{path} names members outside itself: {listed(hostile)}; do not trust it")
    files = [replace(member, name=plain_name(member.name)) for member in entries.files]
    if files and all(member.encrypted for member in files):
        raise DataError(f"{path} is encrypted: {listed([member.name for member in files])}; unpack it first")
    return files + _linked(files, entries, skipped or Skipped())


@dataclass
class _Entries:
    """The entries of an archive but for its folders."""

    files: list[Member]
    links: dict[str, str]
    """The name that each link leads to."""
    others: int = 0
    """Number of devices, pipes and files with holes."""


def _linked(files: list[Member], entries: _Entries, skipped: Skipped) -> list[Member]:
    """The files that links lead to, under the links' names; other links and entries are counted."""
    links = {plain_name(name): plain_name(target) for name, target in entries.links.items()}
    found = follow_links({member.name: member for member in files}, links)
    for name in links.keys() - found.keys():
        skipped.add(LINKS, PurePosixPath(name).name)
    skipped.add(OTHER, "devices and sparse files", entries.others)
    return [replace(member, name=name) for name, member in found.items()]


def _in_zip(path: Path) -> _Entries:
    entries = _Entries([], {})
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            name = zip_name(item)
            member = Member(
                archive=str(path),
                name=name,
                offset=item.header_offset,
                stored=item.compress_size,
                size=item.file_size,
                method=item.compress_type,
                crc=item.CRC,
                encrypted=bool(item.flag_bits & 1),
            )
            if name.endswith("/"):
                continue
            if is_link(item) and not member.encrypted:
                entries.links[name] = link_target(name, _link_path(member))
            else:
                entries.files.append(member)
    return entries


def _link_path(link: Member) -> str:
    """The path that a symbolic link in a zip file leads to; "" where it cannot be read."""
    try:
        return link.open().read().decode("utf-8", "surrogateescape") if link.size <= MAX_PATH else ""
    except ValueError:
        return ""


def _in_tar(path: Path) -> _Entries:
    entries = _Entries([], {})
    with tarfile.open(path, "r:") as archive:
        for item in archive:
            if item.isreg() and not item.issparse():
                entries.files.append(Member(str(path), item.name, item.offset_data, item.size, item.size, None))
            elif item.islnk():
                entries.links[item.name] = item.linkname
            elif item.issym():
                entries.links[item.name] = link_target(item.name, item.linkname)
            else:
                entries.others += not item.isdir()
        end = archive.offset
    _require_end(path, end)
    return entries


def _require_end(path: Path, end: int) -> None:
    """Raise TarError where a tar file goes on after the last member that tarfile found, as if it ended there."""
    with path.open("rb") as file:
        file.seek(end)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"no member begins at byte {end}, where one should")


def is_hidden(name: str) -> bool:
    """Whether a member is hidden, or a file that another program left."""
    *folders, file = PurePosixPath(name).parts
    return any(map(folder_reason, folders)) or file_reason(file) is not None


def is_read(name: str, skipped: Skipped, member: Member | None = None) -> bool:
    """Whether a file is an image by its name or, of an archive, its first bytes; one that is not is counted."""
    *folders, file = PurePosixPath(name).parts
    for folder in folders:
        if reason := folder_reason(folder):
            skipped.add(reason, folder)
            return False
    if reason := file_reason(file):
        skipped.add(reason, file)
        return False
    if is_archive(PurePosixPath(file)):
        skipped.add(NESTED, file)
        return False
    if not is_image(file) and not (member and not SUFFIX.search(file) and format_of(member.head())):
        skipped.add(OTHER, PurePosixPath(file).suffix.lower() or "no suffix")
        return False
    return True

"""What the entries of zip and tar files mean: their names, whoever wrote them, and the files that links lead to."""

import os
import posixpath
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TypeVar

UTF8_NAME = 0x800
"""The flag of an entry whose name is UTF-8 (APPNOTE.TXT 4.4.4, bit 11)."""
UNICODE_PATH = 0x7075
"""The extra field with a name in UTF-8, after its version and the CRC of the name that it stands for (4.6.9)."""
WINDOWS = (0, 10, 11, 14)
"""Systems that write names with backslashes between folders: FAT, NTFS by its two numbers, and VFAT (4.4.2)."""
UNIX = 3
MAX_LINKS = 40
"""Links that are followed one after the other, as Linux does."""
Entry = TypeVar("Entry")


def zip_name(item: zipfile.ZipInfo) -> str:
    """Return the name that unzip gives an entry, with `/` between folders.

    A name without the UTF-8 flag is that of its Unicode field; else UTF-8 where its bytes are that, as macOS writes it;
    else those bytes where a Unix wrote it, and code page 437 elsewhere. Windows' backslashes separate folders.
    """
    name = item.orig_filename  # `filename` has been made harmless
    if not item.flag_bits & UTF8_NAME:
        raw = name.encode("cp437")
        name = _unicode_path(item.extra, raw) or _decoded(raw, name, item.create_system)
    return name.replace("\\", "/") if item.create_system in WINDOWS else name


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in an entry's Unicode field; None where there is none, or it is of another name."""
    while len(extra) >= 4:
        kind, size = (int.from_bytes(extra[at : at + 2], "little") for at in (0, 2))
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return os.fsdecode(field[5:])
    return None


def _decoded(raw: bytes, name: str, system: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return os.fsdecode(raw) if system == UNIX else name


def is_link(item: zipfile.ZipInfo) -> bool:
    """Whether an entry of a zip file is a symbolic link, whose content is the path that it leads to."""
    return item.create_system == UNIX and stat.S_ISLNK(item.external_attr >> 16)


def plain_name(name: str) -> str:
    """Return a name without `.` and empty parts: `a/b.png` for `./a//b.png`."""
    return str(PurePosixPath(name))


def leads_outside(name: str) -> bool:
    """Whether a name may lead out of the folder that an archive is unpacked to, on any system, or is that folder's."""
    path = PurePosixPath(name.replace("\\", "/"))
    has_drive = re.match("[A-Za-z]:", name) is not None
    return not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or has_drive


def link_target(name: str, path: str) -> str:
    """Return the name of the entry that the symbolic link `name` with this path leads to; it may lead outside."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def follow_links(files: Mapping[str, Entry], links: Mapping[str, str]) -> dict[str, Entry]:
    """Return the files that links lead to, by the names of the links; links to anything else are left out.

    Args:
        files: by name.
        links: the name that each link leads to, which may be that of another link.
    """
    found = {}
    for name, target in links.items():
        for _ in range(MAX_LINKS):
            if target in files or target not in links:
                break
            target = links[target]
        if target in files:
            found[name] = files[target]
    return found

"""Seeded mutators that know a file format: what they change stays readable above the change, its checksums hold."""

import io
import json
import random
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence

from fuzz_mutators import CELLS, NUMBERS, Mutator, mutated_bytes
from fuzz_values import mutated_json

from infer.model.protobuf import varint_bytes

CHUNKS = (b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"gAMA", b"acTL", b"fcTL", b"IDAT")
"""Chunks of PNG that change how its pixels are read."""
LARGEST_PART = 20_000
"""Bytes of a protobuf field that may be a message."""
Field = tuple[int, int, "int | bytes | list[Field]"]
"""Number, wire type and value of a protobuf field; of a message the fields in it."""


def mutated_protobuf(chance: random.Random, content: bytes) -> bytes:
    """Change fields of a protobuf message at any depth; the lengths around them are right."""
    fields = parse(content) or []
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change_field(chance, fields)
    return encode(fields)


def parse(content: bytes, depth: int = 0) -> list[Field] | None:
    """The fields of a message; None for what is none."""
    fields, at = list[Field](), 0
    while at < len(content):
        (key, at), value = _varint(content, at), b""
        number, wire = key >> 3, key & 7
        if number == 0 or wire not in (0, 1, 2, 5) or at > len(content):
            return None
        if wire == 0:
            plain, at = _varint(content, at)
            fields.append((number, wire, plain))
            continue
        size = {1: 8, 5: 4}.get(wire)
        if size is None:
            size, at = _varint(content, at)
        value, at = content[at : at + size], at + size
        if at > len(content):
            return None
        inner = parse(value, depth + 1) if wire == 2 and value and (depth < 2 or size < LARGEST_PART) else None
        fields.append((number, wire, inner or value))
    return fields


def encode(fields: Sequence[Field]) -> bytes:
    """Inverse of `parse`."""
    parts = []
    for number, wire, value in fields:
        parts.append(varint_bytes(number << 3 | wire))
        if isinstance(value, int):
            parts.append(varint_bytes(value & 2**64 - 1))
            continue
        whole = encode(value) if isinstance(value, list) else value
        parts += [varint_bytes(len(whole)), whole] if wire == 2 else [whole]
    return b"".join(parts)


def _change_field(chance: random.Random, fields: list[Field]) -> None:
    if not fields:
        return
    while True:
        at = chance.randrange(len(fields))
        number, wire, value = fields[at]
        if not isinstance(value, list) or not value or chance.random() < 0.1:
            break
        fields = value
    change = chance.randrange(6)
    if change == 0:
        del fields[at]
    elif change == 1:
        fields.insert(chance.randrange(len(fields) + 1), fields[at])
    elif change == 2:
        other = chance.randrange(len(fields))
        fields[at], fields[other] = fields[other], fields[at]
    elif change == 3:
        fields[at] = (chance.choice((number + 1, number * 2, 1, 5, 7, 20, 25)), wire, value)
    elif isinstance(value, int):
        fields[at] = (number, wire, chance.choice((*NUMBERS, value + 1, value ^ 1, value * 1000)))
    else:
        whole = encode(value) if isinstance(value, list) else value
        texts = (mutated_bytes(chance, whole), b"", whole + whole, chance.choice(CELLS).encode("utf-8", "replace"))
        fields[at] = (number, wire, chance.choice(texts) if wire == 2 else chance.randbytes(len(whole)))


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number and the position after it; a position beyond the end for what is none."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte, at = content[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return 0, len(content) + 1


def mutated_safetensors(chance: random.Random, content: bytes) -> bytes:
    """Change the JSON header of a safetensors file, but for its metadata; its length is right."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = header.pop("__metadata__", None)
    changed = mutated_json(chance, json.dumps(header).encode())
    if metadata is not None and changed.startswith(b"{") and len(changed) > 2:
        changed = b'{"__metadata__": ' + json.dumps(metadata).encode() + b", " + changed[1:]
    return len(changed).to_bytes(8, "little") + changed + content[8 + size :]


def mutated_png(chance: random.Random, content: bytes) -> bytes:
    """Change a chunk of a PNG, or the order or number of its chunks; all checksums are right."""
    chunks, at = [], 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += size + 12
    at = chance.randrange(len(chunks))
    kind, data = chunks[at]
    change = chance.randrange(6)
    if change == 0:
        chunks.insert(chance.randrange(len(chunks) + 1), chunks[at])
    elif change == 1:
        del chunks[at]
    elif change == 2:
        chance.shuffle(chunks)
    elif change == 3 and kind in (b"IDAT", b"iCCP", b"zTXt"):
        chunks[at] = (kind, zlib.compress(mutated_bytes(chance, bytes(2000))))
    else:
        chunks[at] = (chance.choice((kind, *CHUNKS)), mutated_bytes(chance, data))
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def mutated_zip(part: Mutator, names: Sequence[str] = CELLS) -> Callable[[random.Random, bytes], bytes]:
    """A mutator that changes a zip file's entries and writes the file anew, so that its checksums are right."""

    def mutate(chance: random.Random, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [(item, archive.read(item)) for item in archive.infolist()]
        chosen = chance.randrange(len(entries))
        target, change = io.BytesIO(), chance.randrange(7)
        with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
            warnings.simplefilter("ignore")  # two entries of one name are wanted
            for number, (item, data) in enumerate(entries):
                info = zipfile.ZipInfo(item.filename, (2020, 1, 1, 0, 0, 0))
                info.compress_type = item.compress_type
                if number == chosen and change <= 1:
                    data = part(chance, data)
                elif number == chosen and change == 2:
                    info.filename = chance.choice(names).encode("utf-8", "replace").decode()[:60_000]
                elif number == chosen and change == 3:
                    info.compress_type = chance.choice((8, 12, 14))
                elif number == chosen and change == 4:
                    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
                    data = chance.choice(names).encode("utf-8", "replace")
                elif number == chosen and change == 5:
                    continue
                archive.writestr(info, data)
                if number == chosen and change == 6:
                    archive.writestr(info, data)
        written = target.getvalue()
        return mutated_bytes(chance, written) if chance.random() < 0.2 else written

    return mutate


def mutated_tar(part: Mutator, names: Sequence[str] = CELLS) -> Callable[[random.Random, bytes], bytes]:
    """A mutator that changes a tar file's members and writes the file anew, so that its checksums are right."""

    def mutate(chance: random.Random, content: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [(item, file.read() if (file := archive.extractfile(item)) else b"") for item in archive]
        chosen = chance.randrange(len(members))
        target, change = io.BytesIO(), chance.randrange(7)
        form = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
        with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT if form == 0 else form) as archive:
            for number, (item, data) in enumerate(members):
                info, copies = tarfile.TarInfo(item.name), 1
                if number == chosen and change <= 1:
                    data = part(chance, data)
                elif number == chosen and change == 2:
                    info.name = chance.choice(names).replace("\0", "?")[:200] or "x"
                elif number == chosen and change == 3:
                    info.type = chance.choice((b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"x", b"?"))
                    info.linkname = chance.choice((item.name, "a", "../a", "/etc/passwd", members[0][0].name))
                elif number == chosen and change == 4:
                    info.pax_headers = {chance.choice(("path", "size", "GNU.sparse.map", "hdrcharset")): "1"}
                elif number == chosen:
                    copies = chance.choice((0, 2))
                for _ in range(copies):
                    info.size = len(data) if info.type in tarfile.REGULAR_TYPES else 0
                    archive.addfile(info, io.BytesIO(data))
        written = target.getvalue()
        return mutated_bytes(chance, written) if chance.random() < 0.2 else written

    return mutate

"""Seeded mutators of files as bytes, as text and as tables: each returns a changed copy."""

import random
from collections.abc import Callable, Sequence

Mutator = Callable[[random.Random, bytes], bytes]
"""Changes the content of a file at random."""

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
"""Values at which sizes, offsets and counts overflow."""
CELLS = (
    *("", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1.0", "0x10", "9" * 20, "9" * 5000, "None", "null"),
    *("true", "-", "=1+1", "@SUM(A1)", "'", '"', "a,b", "a;b", "a\tb", "a\nb", "a\r", "\x00", "\x1b[31m", "C:\\x.png"),
    *("..", "../..", "/", ".", "/dev/zero", "/dev/null", "a" * 300, "a" * 5000, "a/" * 3000, "x" * 140_000),
    *(
        "\xe9",
        "e\u0301",
        "\u202eabc",
        "\U0001f600",
        "\ufeff",
        "\u00a0",
        "\udcff",
        "\u0663",
        "\u00b2",
        "\u017f",
        "\u0130",
    ),
)
"""Texts that programs take for something else."""
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig")


def mutated_bytes(chance: random.Random, content: bytes) -> bytes:
    """Flip, set, delete, repeat, insert, exchange and cut bytes; one to eight changes."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(BYTE_CHANGES)(chance, changed)
    return bytes(changed)


def _at(chance: random.Random, content: bytearray) -> int:
    """A position, in half of the cases among the first bytes, where headers are."""
    size = max(1, len(content))
    return chance.randrange(min(size, 512)) if chance.random() < 0.5 else chance.randrange(size)


def _span(chance: random.Random, content: bytearray) -> slice:
    at = _at(chance, content)
    return slice(at, at + chance.choice((1, 2, 4, 16, 100, 1000)))


def _flip_bit(chance: random.Random, content: bytearray) -> None:
    if content:
        content[_at(chance, content)] ^= 1 << chance.randrange(8)


def _set_byte(chance: random.Random, content: bytearray) -> None:
    at = _at(chance, content)
    content[at : at + 1] = bytes([chance.choice((0, 1, 0x20, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))])


def _set_number(chance: random.Random, content: bytearray) -> None:
    """Write a number of 2, 4 or 8 bytes in either order, where one may be."""
    at, size = _at(chance, content), chance.choice((2, 4, 8))
    number = chance.choice(NUMBERS) & (1 << 8 * size) - 1
    content[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))


def _delete(chance: random.Random, content: bytearray) -> None:
    del content[_span(chance, content)]


def _repeat(chance: random.Random, content: bytearray) -> None:
    part = content[_span(chance, content)]
    at = _at(chance, content)
    content[at:at] = part * chance.choice((1, 1, 2, 50))


def _exchange(chance: random.Random, content: bytearray) -> None:
    """Write one part of the file over another."""
    part = content[_span(chance, content)]
    at = _at(chance, content)
    content[at : at + len(part)] = part


def _insert(chance: random.Random, content: bytearray) -> None:
    at = _at(chance, content)
    content[at:at] = chance.randbytes(chance.choice((1, 2, 7, 64)))


def _fill(chance: random.Random, content: bytearray) -> None:
    span = _span(chance, content)
    content[span] = bytes([chance.choice((0, 0xFF))]) * len(content[span])


def _cut(chance: random.Random, content: bytearray) -> None:
    del content[chance.choice((0, chance.randrange(len(content) + 1), max(0, len(content) - 1))) :]


BYTE_CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(_flip_bit, _set_byte, _set_number, _delete, _repeat, _exchange, _insert, _fill, _cut),
)


def spliced(others: Sequence[bytes]) -> Mutator:
    """A mutator that puts the start of a file before the end of another."""

    def mutate(chance: random.Random, content: bytes) -> bytes:
        other = chance.choice(others)
        return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other) + 1) :]

    return mutate


def mutated_text(chance: random.Random, content: bytes) -> bytes:
    """Change how a text is written: its encoding, byte-order mark, line ends, NUL bytes, quotes, lines."""
    text = content.decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True) or [""]
    at = chance.randrange(len(lines))
    changes: tuple[Callable[[], str], ...] = (
        lambda: "\ufeff" + text,
        lambda: text.replace("\n", chance.choice(("\r", "\r\n", "\n\n", "\x0b", "\u2028", "\0"))),
        lambda: text.replace(",", chance.choice((";", "\t", "|", ", ", ",,", "\uff0c"))),
        lambda: "".join([*lines[:at], lines[at] * chance.choice((2, 50)), *lines[at + 1 :]]),
        lambda: "".join(chance.sample(lines, len(lines))),
        lambda: "".join([*lines[:at], chance.choice(('"', "'", '""', "\\", "#", "\0", "\n", "\x1a")), *lines[at:]]),
        lambda: text.rstrip("\n") + chance.choice(("", "\n" * 1000, "\0", '"', ",", "\x1a")),
        lambda: "sep=;\n" + text,
        lambda: chance.choice(("", "\n", "\ufeff", "\0" * 100, ",", '"', " ", lines[0])),
    )
    if chance.random() < 0.2:
        return text.encode(chance.choice(ENCODINGS), "replace")
    return chance.choice(changes)().encode("utf-8", "surrogateescape")


def mutated_table(chance: random.Random, content: bytes) -> bytes:
    """Change cells, rows or columns of a CSV without quoted line breaks."""
    rows = [line.split(",") for line in content.decode("utf-8", "surrogateescape").splitlines()]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(TABLE_CHANGES)(chance, rows)
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogateescape") + b"\n"


def _cell(chance: random.Random, rows: list[list[str]]) -> tuple[list[str], int]:
    """A row, the header more often than others, and the position of a cell in it."""
    row = rows[0] if chance.random() < 0.3 else chance.choice(rows)
    return row, chance.randrange(max(1, len(row)))


def _replace_cell(chance: random.Random, rows: list[list[str]]) -> None:
    row, at = _cell(chance, rows)
    text = chance.choice(CELLS)
    row[at : at + 1] = [f'"{text}"' if chance.random() < 0.3 else text]


def _copy_cell(chance: random.Random, rows: list[list[str]]) -> None:
    (row, at), (other, position) = _cell(chance, rows), _cell(chance, rows)
    row[at : at + 1] = other[position : position + 1]


def _change_cell(chance: random.Random, rows: list[list[str]]) -> None:
    row, at = _cell(chance, rows)
    text = (row or [""])[at]
    changed = (text.upper(), text + text, f" {text} ", f'"{text}', f"{text}.0", text[:-1], text + "\0", text[::-1])
    row[at : at + 1] = [chance.choice(changed)]


def _double_cell(chance: random.Random, rows: list[list[str]]) -> None:
    row, at = _cell(chance, rows)
    row[at:at] = row[at : at + 1]


def _lose_cell(chance: random.Random, rows: list[list[str]]) -> None:
    row, at = _cell(chance, rows)
    del row[at : at + 1]


def _exchange_columns(chance: random.Random, rows: list[list[str]]) -> None:
    one, other = chance.randrange(max(1, len(rows[0]))), chance.randrange(max(1, len(rows[0])))
    for row in rows:
        if max(one, other) < len(row):
            row[one], row[other] = row[other], row[one]


def _fill_column(chance: random.Random, rows: list[list[str]]) -> None:
    at, texts = (
        chance.randrange(max(1, len(rows[0]))),
        [chance.choice(CELLS) for _ in range(chance.choice((1, 1, 2, 3)))],
    )
    for row in rows[1:]:
        row[at : at + 1] = [chance.choice(texts)]


def _add_column(chance: random.Random, rows: list[list[str]]) -> None:
    names = ("label", "split", "patient", "id", "ID", "image", "Path", "0", "1", "", "Unnamed: 0", "probability")
    at, texts = chance.randrange(len(rows[0]) + 1), [chance.choice(CELLS), "0", "1", "train"]
    for number, row in enumerate(rows):
        row.insert(at, chance.choice(names) if number == 0 else chance.choice((chance.choice(texts), str(number))))


def _lose_column(chance: random.Random, rows: list[list[str]]) -> None:
    at = chance.randrange(max(1, len(rows[0])))
    for row in rows:
        del row[at : at + 1]


def _change_rows(chance: random.Random, rows: list[list[str]]) -> None:
    at = chance.randrange(len(rows))
    rows[at : at + 1] = (
        chance.choice(([], [[], rows[at]], [chance.choice(rows), rows[at]], [list(rows[at])] * 50)) or []
    )
    rows[:] = [list(row) for row in rows] or [[""]]


TABLE_CHANGES: tuple[Callable[[random.Random, list[list[str]]], None], ...] = (
    *(_replace_cell, _replace_cell, _copy_cell, _change_cell, _double_cell, _lose_cell, _exchange_columns),
    *(_fill_column, _add_column, _lose_column, _change_rows),
)

"""Seeded mutators of JSON and TOML: each returns a changed copy."""

import copy
import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 1.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), 10**30, 10**400),
    *("", "0", "nan", "a\x00b", "é" * 300, "\ud800", [], {}, [[]], [None], {"": None}, [0] * 1000, {"version": 1}),
)
"""JSON values that are not what a field should hold."""
TOML_VALUES = (
    *('""', '"x"', "''", "0", "-1", "1", "true", "false", "nan", "inf", "-inf", "1e999", "1e-320", "0.5", "1e30"),
    *("99999999999999999999999", "[]", "[1, 2]", '["a"]', "{}", "{a = 1}", "1979-05-27", "07:32:00", '"""\n"""'),
    *('"a\\u0000b"', '"\\uD800"', "[" * 5000, "9" * 5000, '"' + "x" * 100_000 + '"', '"/dev/zero"', '"no such"'),
)
DEEP = 100_000
"""Brackets around a value; Python's readers follow some hundreds."""


def mutated_json(chance: random.Random, content: bytes) -> bytes:
    """Change values, keys or entries of a JSON text, at any depth; some values get very many brackets."""
    whole = [json.loads(content)]
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change_json(chance, whole)
    text = json.dumps(whole[0])
    if chance.random() < 0.03:
        text = text.replace(chance.choice(("1", "0", '"')), "[" * DEEP, 1)
    return text.encode()


def _change_json(chance: random.Random, whole: list[Any]) -> None:
    """Change one value below a list that holds the whole."""
    holder: Any = whole
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = chance.choice(keys)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.2:
            break
        holder = inner
    change = chance.randrange(5)
    if change == 0 and holder is not whole:
        del holder[key]
    elif change == 1 and isinstance(holder, dict):
        holder[chance.choice(("", "version", "classes", "x", key * 2))] = copy.deepcopy(inner)
    elif change == 2:
        holder[key] = [inner] if chance.random() < 0.5 else {"x": inner}
    elif change == 3 and isinstance(inner, int | float):
        holder[key] = chance.choice((-inner, inner + 1, inner * 10**9, str(inner)[:99], 0.3))
    else:
        holder[key] = copy.deepcopy(chance.choice(VALUES))


def mutated_toml(chance: random.Random, content: bytes) -> bytes:
    """Change values, names or lines of a TOML text that has one value on a line."""
    lines = content.decode().splitlines()
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        name, sign, value = lines[at].partition(" = ")
        other = chance.choice(lines)
        change = chance.randrange(6)
        if change <= 1 and sign:
            lines[at] = f"{name} = {chance.choice(TOML_VALUES)}"
        elif change == 2 and sign:
            lines[at] = f"{name} = {other.partition(' = ')[2] or value}"
        elif change == 3:
            lines.insert(at, chance.choice((f"[{name}]", "[[stages]]", "[resnet18]", f"{name}.x = 1", "[a.b]", other)))
        elif change == 4:
            del lines[at]
        else:
            lines[at] = chance.choice((name, lines[at] + lines[at], name.upper() + sign + value, f'"" = {value}', "\0"))
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")

"""Spoils JSON: values of wrong type and size, keys that are missing, misspelt or new, and text that is hardly JSON any more."""

import json
import random
from collections.abc import Callable
from typing import Any

PATHS = (
    *(
        "../victim.txt",
        "../../victim.txt",
        "{scratch}/victim.txt",
        "windows/../../victim.txt",
        "./windows/train-000000.tar",
    ),
    *(
        "windows",
        "",
        "/",
        ".",
        "~",
        "C:\\victim.txt",
        "\\\\host\\share",
        "windows/\u0000",
        "windows/train-000000.tar/",
        "/dev/zero",
    ),
    *(
        "windows/train-000000.tar\n",
        "frames/frames-00000.parquet",
        "windows/a" + "b" * 300,
        "\ud800",
        "manifest.json",
        "salt",
    ),
    *("http://127.0.0.1:9/x", "file:///dev/zero", "-rf", "\u001b[31mred"),
)
NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**40,
    2**63,
    2**64,
    -(2**63),
    10**30,
    1.5,
    -0.0,
    1e308,
    10**400,
    float("nan"),
    float("inf"),
)
TEXTS = (
    "",
    "x",
    "0" * 64,
    "/Zx",
    "../../x",
    "a" * 64,
    "A" * 64,
    "g" * 64,
    "\u001b]0;t\u0007",
    "x" * 100_000,
    "\u00e9",
    "\ud800",
    "\u202e",
)


def anything(dice: random.Random, scratch: str = "/nowhere") -> Any:
    """A value of any kind; ``scratch`` is where victims lie."""
    deep: Any = 0
    for _ in range(dice.choice((3, 500))):
        deep = [deep] if dice.random() < 0.5 else {"a": deep}
    return dice.choice(
        (None, True, False, [], {}, [1], {"a": 1}, deep, dice.choice(NUMBERS), dice.choice(TEXTS), _path(dice, scratch))
    )


def _path(dice: random.Random, scratch: str) -> str:
    return dice.choice(PATHS).replace("{scratch}", scratch)


def places(tree: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found = [] if found is None else found
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        found.append((tree, key))
        places(value, found)
    return found


def spoiled(dice: random.Random, tree: Any, scratch: str = "/nowhere") -> Any:
    """The tree with one thing wrong; it is changed in place where that is possible."""
    if dice.random() < 0.03:
        return anything(dice, scratch)
    found = places(tree)
    if not found:
        return anything(dice, scratch)
    holder, key = dice.choice(found)
    kind, value = dice.randrange(8), holder[key]
    if kind <= 1:
        holder[key] = anything(dice, scratch)
    elif kind == 2 and isinstance(value, int | float):
        holder[key] = dice.choice((value + 1, -value, value * 2**40, float(value), str(value), *NUMBERS))
    elif kind == 2 and isinstance(value, str):
        holder[key] = dice.choice((value + "x", value[:-1], value.upper(), value + "\n", *TEXTS, _path(dice, scratch)))
    elif kind == 3 and isinstance(value, str) and "/" in value:
        holder[key] = _path(dice, scratch)
    elif kind == 4:
        del holder[key]
    elif kind == 5 and isinstance(holder, dict):
        holder[dice.choice((f"{key}_", f"{key}"[:-1], f"{key}".upper(), "__class__", "$ref", ""))] = holder.pop(key)
    elif kind == 6 and isinstance(holder, list):
        holder.insert(dice.randrange(len(holder) + 1), holder[key])
    elif kind == 7 and isinstance(value, list | dict):
        holder[key] = {} if isinstance(value, list) else list(value.items())
    else:
        other, name = dice.choice(found)
        holder[key] = (
            json.loads(json.dumps(other[name]))
            if name in (other if isinstance(other, dict) else range(len(other)))
            else 0
        )
    return tree


def hardly_json(dice: random.Random, text: str) -> bytes:
    """The text, spoiled as text."""
    at = dice.randrange(len(text) + 1)
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: text.encode("utf-16"),
        lambda: text[:at].encode(),
        lambda: (text[:at] + dice.choice(("\u0000", "NaN", ",", "}", "[" * 5000, "\u2028")) + text[at:]).encode(),
        lambda: b"[" * dice.choice((100, 100_000)),
        lambda: b'{"a":' * dice.choice((100, 50_000)) + b"1",
        lambda: text.replace("{", '{"replays": 7, "path": "x",', 1).encode(),
        lambda: text.encode() + b"\n{}",
        lambda: b"",
        lambda: b"1" * dice.choice((10, 5000)),
        lambda: text[:at].encode() + bytes([dice.randrange(256)]) + text[at:].encode(),
    )
    return dice.choice(changes)()

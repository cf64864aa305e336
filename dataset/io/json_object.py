"""JSON objects from strangers: one that is too large, nested too deep or ambiguous is refused with a ``ValueError``."""

import json
from typing import Any, NoReturn


def parse_object(text: str | bytes, max_chars: int) -> dict[str, Any]:
    """The JSON object that ``text`` holds.

    Args:
        text: what was read; bytes must be UTF-8.
        max_chars: the longest that such a text may be.

    Raises:
        ValueError: it is longer, is no JSON or no object, names a key twice, holds NaN or infinity, or is nested too deep.
    """
    if len(text) > max_chars:
        raise ValueError(f"{len(text):,} characters, more than {max_chars:,}")
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("lists or objects that are nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"a JSON {type(found).__name__} instead of an object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant}, which is no number")

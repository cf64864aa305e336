"""What each key of a manifest may hold.

A manifest may come from a stranger, and exphil opens, downloads, replaces and deletes the files that it names. So a manifest is
checked once, when it is read: every path has one of the two forms that exphil writes, and no key is unknown or of another type.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 2**26
"""Characters of the longest manifest that is read; 200 000 shards take as many."""

SHARD_NAME = re.compile(
    r"frames/frames-(?P<frames>[0-9]{5,9})(?:_[0-9]{1,4})?\.parquet|windows/(?P<split>train|val|test)-(?P<windows>[0-9]{6,9})\.tar"
)
"""Path of a shard below its store, with its number; a frame shard after the first of one number has a second one."""

LARGEST_VERSION = 1_000_000
"""Of a schema; anything above is damage, and not a newer exphil's."""

LAST_NUMBER = 999_999_999
"""Of a shard: what fits its name."""

_WHOLE = 2**53
"""Whole numbers up to here are the same in every reader of JSON."""

_SHOWN = 60
"""Characters of a wrong value that an error shows."""


@dataclass(frozen=True)
class Rule:
    """What one key may hold."""

    words: str
    holds: Callable[[Any], bool]
    is_optional: bool = False
    """Whether older manifests lack the key."""


def _whole(lowest: int = 0, highest: int = _WHOLE, *, is_optional: bool = False) -> Rule:
    words = f"a whole number from {lowest:,} to {highest:,}"
    return Rule(words, lambda value: type(value) is int and lowest <= value <= highest, is_optional)


def _word(*, is_optional: bool = False) -> Rule:
    pattern = re.compile(r"[0-9A-Za-z_+,-]{0,200}")
    words = "a name or digest of letters, digits, '_', '+' and '-'"
    return Rule(words, lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)), is_optional)


def _one_of(*known: str | None) -> Rule:
    words = f"one of {', '.join(one or 'null' for one in known)}"
    return Rule(words, lambda value: value in known)


def _sha256(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


_SHA256 = Rule("64 lower-case hexadecimal digits", _sha256)
_FLAG = Rule("true or false", lambda value: type(value) is bool, is_optional=True)

WHERE_WORDS = "Unicode of at most 10,000 characters with at most 400 words and signs outside of quotes"


def is_short_condition(where: str) -> bool:
    """Whether polars can judge a replay by a condition in a moment: signs nest, and with 5 000 of them it takes minutes."""
    is_text = not any("\ud800" <= letter <= "\udfff" for letter in where)
    return (
        is_text
        and len(where) <= 10_000
        and len(re.findall(r"[^\W\d]\w*|[^\w\s,.]", re.sub("'[^']*'", "", where))) <= 400
    )


_SHARD_RULES = {
    "path": Rule(
        "frames/frames-NNNNN.parquet, frames/frames-NNNNN_N.parquet or windows/SPLIT-NNNNNN.tar",
        lambda value: isinstance(value, str) and bool(SHARD_NAME.fullmatch(value)),
    ),
    "kind": _one_of("frames", "windows"),
    "split": _one_of(None, "train", "val", "test"),
    "sha256": _SHA256,
    "bytes": _whole(),
    "samples": _whole(),
    "frames": _whole(),
}

FILTER_RULES = {
    "character": Rule(
        "null or the name of a character",
        lambda value: value is None or (isinstance(value, str) and bool(re.fullmatch("[a-z0-9_]{1,40}", value))),
        is_optional=True,
    ),
    "include_cpu": _FLAG,
    "keep_all": _FLAG,
    "keep_names": _FLAG,
    "min_frames": _whole(is_optional=True),
}
"""Of the filters that ``ingest`` writes; those of a store may lack some."""

_RULES = {
    "schema_version": _whole(1, LARGEST_VERSION),
    "encoder_digest": _word(),
    "codec": _word(),
    "codec_digest": _word(),
    "rollback": _one_of("last", "first"),
    "split_seed": _whole(-_WHOLE),
    "filters": Rule("an object", lambda value: isinstance(value, dict)),
    "replays": _whole(),
    "frames": _whole(),
    "digest": _word(),
    "shards": Rule("a list of objects", lambda v: isinstance(v, list) and all(isinstance(one, dict) for one in v)),
    "kept_replays": _whole(is_optional=True),
    "kept_frames": _whole(is_optional=True),
    "features": _word(is_optional=True),
    "where": Rule(WHERE_WORDS, lambda value: isinstance(value, str) and is_short_condition(value), is_optional=True),
    "left_replays": _whole(is_optional=True),
    "left_frames": _whole(is_optional=True),
    "replays_sha256": Rule(f"{_SHA256.words}, or empty", lambda value: value == "" or _sha256(value), is_optional=True),
    "settings_digest": _word(is_optional=True),
    "manifest_digest": Rule(_SHA256.words, _sha256, is_optional=True),
}


def check_manifest(found: Mapping[str, Any]) -> None:
    """Refuse what is no manifest.

    Args:
        found: the JSON object.

    Raises:
        ValueError: it says in words which key holds what, and what it may hold.
    """
    _check(found, _RULES, "")
    _check(found["filters"], FILTER_RULES, "filters, ")
    for number, shard in enumerate(found["shards"]):
        _check(shard, _SHARD_RULES, f"shard {number}, ")
        named = SHARD_NAME.fullmatch(shard["path"])
        split = named and named["split"]
        if (shard["kind"], shard["split"]) != ("frames" if split is None else "windows", split):
            raise ValueError(
                f"shard {shard['path']}: of kind {shard['kind']} and split {shard['split']}, which its path is not"
            )
    _refuse_twice(shard["path"] for shard in found["shards"])


def _check(found: Mapping[str, Any], rules: Mapping[str, Rule], where: str) -> None:
    for key, value in found.items():
        if key not in rules:
            raise ValueError(f"{where}key {_shown(key)}, which is none of {', '.join(rules)}")
        if not rules[key].holds(value):
            raise ValueError(f"{where}{key} {_shown(value)}, which must be {rules[key].words}")
    missing = [key for key, rule in rules.items() if key not in found and not rule.is_optional]
    if missing:
        raise ValueError(f"{where}no key {missing[0]}")


def _refuse_twice(paths: Iterable[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise ValueError(f"shard {path} twice")
        seen.add(path)


def _shown(value: object) -> str:
    """A value as an error may show it, without control characters."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

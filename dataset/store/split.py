"""Which split a replay belongs to: a pure function of its match (or content) and a seed, stable as the store grows."""

from typing import Literal

import xxhash

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_VAL_FROM, _TEST_FROM = 0.8, 0.9


def split_key(match_id: str | None, content_hash: str) -> str:
    """What decides the split: games of one online set share a match id and stay together."""
    return match_id or content_hash


def split_of(key: str, seed: int) -> Split:
    """80 % train, 10 % val, 10 % test by hash."""
    share = xxhash.xxh3_64_intdigest(f"{seed}:{key}".encode()) / 2**64
    if share < _VAL_FROM:
        return "train"
    return "val" if share < _TEST_FROM else "test"

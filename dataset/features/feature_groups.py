"""Feature groups: what windows hold, and a policy is given, beyond the base of every frame.

In: a *choice* of groups as text: ``all``, all but some (``all-items-nana``), or the base and some (``base+speeds``). Out:
columns without what it leaves out, the rows of an encoded frame that are 0 under it, and the digest of the encoder under it. The
surprise: what is left out looks exactly as if no replay had recorded it, so every shape stays. Windows are written without it
(``kept_columns``); a policy zeroes it on entry (``zeroed``), in training, measuring and play alike. Tests hold both equal.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache

from dataset.errors import ConfigError
from dataset.features.encoder import ENCODER_DIGEST, FEATURES, INDICES, RAW_NAMES, VERSION_GROUPS
from dataset.schema import COLUMNS, Columns

ALL, BASE = "all", "base"


def _columns() -> dict[str, frozenset[str]]:
    since = {column.name: column.since for column in COLUMNS}
    groups = {
        group: frozenset(name for name in RAW_NAMES if since.get(name) == since[f"a_{teller}"])
        for group, teller in VERSION_GROUPS.items()
    }
    groups["items"] = frozenset(name for name in RAW_NAMES if name.startswith("item"))
    groups["nana"] = frozenset(name for name in RAW_NAMES if "_nana_" in name)
    return groups


GROUPS = _columns()
"""Columns of each group: those that came with one Slippi version, those of item slots, those of both Nanas. Everything else is
the base; Nana's share of a version's columns is in both groups."""


def parse_features(text: str) -> str:
    """A choice of groups in its one spelling, the shorter one.

    Raises:
        ConfigError: it is none, or names a group that is not known.
    """
    match = re.fullmatch(rf"{ALL}(?P<less>(-\w+)*)|{BASE}(?P<more>(\+\w+)*)", text.strip())
    if match is None:
        raise ConfigError(
            f"features '{text}': must be {ALL}, {ALL} less some groups or {BASE} and some, as in all-items-nana or base+speeds; "
            f"groups are {', '.join(GROUPS)}"
        )
    named = set(re.findall(r"\w+", match["less"] or match["more"] or ""))
    if unknown := sorted(named - GROUPS.keys()):
        raise ConfigError(f"features '{text}': unknown {', '.join(unknown)}; groups are {', '.join(GROUPS)}")
    held = [group for group in GROUPS if (group in named) == (match["less"] is None)]
    left = [group for group in GROUPS if group not in held]
    return "-".join([ALL, *left]) if len(left) <= len(held) else "+".join([BASE, *held])


def left_groups(features: str) -> tuple[str, ...]:
    """The groups that a choice leaves out."""
    first, *named = re.split(r"[-+]", parse_features(features))
    return tuple(group for group in GROUPS if (group in named) == (first == ALL))


def lacking(held: str, wanted: str) -> tuple[str, ...]:
    """The groups that ``wanted`` takes in and ``held`` leaves out."""
    out = left_groups(wanted)
    return tuple(group for group in left_groups(held) if group not in out)


def joined(choices: Iterable[str]) -> str:
    """The choice that takes in whatever one of ``choices`` takes in."""
    left = set(GROUPS).intersection(*map(left_groups, choices))
    return parse_features("-".join([ALL, *left]))


def kept_columns(columns: Columns, features: str) -> Columns:
    """The columns without those of the groups left out; the very same mapping if there are none."""
    if features == ALL:
        return columns
    dropped = _dropped(features)
    return {name: column for name, column in columns.items() if name not in dropped}


@cache
def zeroed(features: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The rows of ``FEATURES`` and of ``INDICES`` that are 0 under a choice."""
    names = _dropped(features) | {f"has_{group}" for group in left_groups(features)}
    sources = [feature.raw or feature.name.replace("_exists", "_kind") for feature in FEATURES]
    return (
        tuple(row for row, source in enumerate(sources) if source in names),
        tuple(row for row, (name, _) in enumerate(INDICES) if name in names),
    )


@cache
def _dropped(features: str) -> frozenset[str]:
    return frozenset[str]().union(*(GROUPS[group] for group in left_groups(features)))


def encoder_digest(features: str) -> str:
    """Of the encoder under a choice: changes whenever the same frame would be encoded otherwise. That of ``all`` is its own."""
    if features == ALL:
        return ENCODER_DIGEST
    return hashlib.sha256(f"{ENCODER_DIGEST} {features}".encode()).hexdigest()[:16]

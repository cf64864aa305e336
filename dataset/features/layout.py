"""What an encoded frame consists of: every feature with its scale, every embedding index, and the groups of both.

A *choice* of groups says what windows hold, and a policy is given, beyond the base of every frame: ``all``, all but some
(``all-items-nana``), or the base and some (``base+speeds``). What a choice leaves out is 0, exactly as if no replay had
recorded it, so every shape stays. Windows are written without it (``kept_columns``), and a policy zeroes it on entry
(``zeroed``), in training, measuring and play alike; tests check that both agree.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from dataset.errors import ConfigError
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES, STAGES
from dataset.schema import COLUMNS, NUM_ITEM_SLOTS, SIDES, Columns

ENCODER_VERSION = 2

CLIP = 10.0
"""Scaled values are held within ±10."""

HITSTUN_STATES = (*range(75, 92), 185, 193, 247, 248)
"""Action states in which ``misc`` counts hitstun: damage, damage fly, down damage and wall or ceiling bounces. In 71 real
replays the recorded hitstun flag is set in exactly 75–91, 185, 193 and 247; 248 is the ceiling's twin of 247. The flag
itself is not used: live play does not show it."""

VERSION_GROUPS = {"misc": "misc", "hurtbox": "hurtbox", "speeds": "speed_air_x", "hitlag": "hitlag"}
"""Groups of columns that one Slippi version brought, each with the column whose presence shows that it is there."""

_FIGHTER = (
    ("percent", 0.01), ("x", 0.05), ("y", 0.05), ("facing", 1.0), ("shield", 1 / 60), ("stocks", 0.25),
    ("jumps", 1 / 6), ("on_ground", 1.0), ("hurtbox", 1.0), ("action_frame", 1 / 60), ("misc", 1 / 120),
    ("hitlag", 0.1), ("speed_air_x", 0.5), ("speed_y", 0.5), ("speed_attack_x", 0.5), ("speed_attack_y", 0.5),
    ("speed_ground_x", 0.5),
)  # fmt: skip
"""Columns of a fighter and their scales, in feature order."""

_NANA = (
    ("exists", 1.0), ("percent", 0.01), ("x", 0.05), ("y", 0.05), ("facing", 1.0), ("on_ground", 1.0),
    ("hurtbox", 1.0), ("action_frame", 1 / 60), ("misc", 1 / 120),
)  # fmt: skip
_ITEM = (("owner", 1.0), ("x", 0.05), ("y", 0.05), ("speed_x", 0.5), ("speed_y", 0.5))


def _raw_names() -> tuple[str, ...]:
    names = ["frame", "stage", *(f"has_{group}" for group in VERSION_GROUPS), "has_items"]
    for side in SIDES:
        names += [f"{side}_{column}" for column, _ in _FIGHTER]
        names += [f"{side}_nana_{column}" for column, _ in _NANA]
        names += [f"{side}_action_state", f"{side}_character", f"{side}_nana_action_state"]
    for slot in range(NUM_ITEM_SLOTS):
        names += [f"item{slot}_{column}" for column, _ in _ITEM] + [f"item{slot}_kind"]
    return tuple(names)


RAW_NAMES = _raw_names()
"""Rows of the raw matrix: frame-table columns, plus one 0/1 row per version group."""

RAW_ROW = {name: row for row, name in enumerate(RAW_NAMES)}
"""Row of each raw name."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One continuous input of a policy, seen from side a."""

    name: str
    scale: float
    """What the raw value is multiplied by."""
    raw: str | None = None
    """The raw row it scales; ``None`` for a derived feature."""
    is_mirrored: bool = False
    """Whether exchanging left and right negates it."""
    is_opposed: bool = False
    """Whether exchanging the players negates it."""


def _features() -> tuple[Feature, ...]:
    features = [Feature(name="frame", raw="frame", scale=1 / 28800)]
    features += [Feature(name=f"has_{g}", raw=f"has_{g}", scale=1.0) for g in (*VERSION_GROUPS, "items")]
    features += [
        Feature(name="dx", scale=1 / 200, is_mirrored=True, is_opposed=True),
        Feature(name="dy", scale=1 / 100, is_opposed=True),
        Feature(name="distance", scale=1 / 200),
    ]
    flips = ("x", "facing", "speed_air_x", "speed_attack_x", "speed_ground_x", "speed_x")

    def scaled(prefix: str, columns: tuple[tuple[str, float], ...]) -> list[Feature]:
        return [
            Feature(
                name=f"{prefix}_{name}",
                raw=f"{prefix}_{name}",
                scale=scale,
                is_mirrored=name in flips,
                is_opposed=name == "owner",
            )
            for name, scale in columns
        ]

    for side in SIDES:
        features += [*scaled(side, _FIGHTER), Feature(name=f"{side}_ledge", scale=0.05), *scaled(f"{side}_nana", _NANA)]
    for slot in range(NUM_ITEM_SLOTS):
        features += [Feature(name=f"item{slot}_exists", scale=1.0), *scaled(f"item{slot}", _ITEM)]
    return tuple(features)


FEATURES = _features()
"""Every continuous feature in stored order."""

INDICES: tuple[tuple[str, int], ...] = (
    ("stage", NUM_STAGES),
    *(
        (f"{side}_{name}", size)
        for side in SIDES
        for name, size in (
            ("action_state", NUM_ACTION_STATES),
            ("character", NUM_CHARACTERS),
            ("nana_action_state", NUM_ACTION_STATES),
        )
    ),
    *((f"item{slot}_kind", NUM_ITEM_KINDS) for slot in range(NUM_ITEM_SLOTS)),
)
"""(name, table size) of every embedding index in stored order."""

FEATURE_ROW = {feature.name: row for row, feature in enumerate(FEATURES)}
INDEX_ROW = {name: row for row, (name, _) in enumerate(INDICES)}

LEDGE_X = np.full(NUM_STAGES, np.nan, dtype=np.float32)
"""|x| of the ledges by stage index; NaN where it is not known."""
LEDGE_X[[stage.number for stage in STAGES]] = [stage.ledge_x for stage in STAGES]

ENCODER_DIGEST = hashlib.sha256(
    repr((ENCODER_VERSION, FEATURES, INDICES, HITSTUN_STATES, CLIP, LEDGE_X.tolist())).encode()
).hexdigest()[:16]
"""Changes whenever the same frame would be encoded otherwise; stores and checkpoints carry it."""

ALL, BASE = "all", "base"


def _groups() -> dict[str, frozenset[str]]:
    since = {column.name: column.since for column in COLUMNS}
    groups = {
        group: frozenset(name for name in RAW_NAMES if since.get(name) == since[f"a_{column}"])
        for group, column in VERSION_GROUPS.items()
    }
    groups["items"] = frozenset(name for name in RAW_NAMES if name.startswith("item"))
    groups["nana"] = frozenset(name for name in RAW_NAMES if "_nana_" in name)
    return groups


GROUPS = _groups()
"""Columns of each group: those that came with one Slippi version, those of item slots, those of both Nanas. Everything else is
the base; Nana's share of a version's columns is in both groups."""


def parse_features(text: str) -> str:
    """A choice of groups in its one spelling, the shorter one.

    Raises:
        ConfigError: it is not a choice, or names an unknown group.
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


def left_out_groups(features: str) -> tuple[str, ...]:
    """The groups that a choice leaves out."""
    first, *named = re.split(r"[-+]", parse_features(features))
    return tuple(group for group in GROUPS if (group in named) == (first == ALL))


def missing_groups(held: str, wanted: str) -> tuple[str, ...]:
    """The groups that ``wanted`` takes in and ``held`` leaves out."""
    out = left_out_groups(wanted)
    return tuple(group for group in left_out_groups(held) if group not in out)


def union_of(choices: Iterable[str]) -> str:
    """The choice that takes in whatever one of ``choices`` takes in."""
    left = set(GROUPS).intersection(*map(left_out_groups, choices))
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
    names = _dropped(features) | {f"has_{group}" for group in left_out_groups(features)}
    sources = [feature.raw or feature.name.replace("_exists", "_kind") for feature in FEATURES]
    return (
        tuple(row for row, source in enumerate(sources) if source in names),
        tuple(row for row, (name, _) in enumerate(INDICES) if name in names),
    )


@cache
def _dropped(features: str) -> frozenset[str]:
    return frozenset[str]().union(*(GROUPS[group] for group in left_out_groups(features)))


def encoder_digest(features: str) -> str:
    """Digest of the encoder under a choice: ``ENCODER_DIGEST`` for ``all``, another for every other choice."""
    if features == ALL:
        return ENCODER_DIGEST
    return hashlib.sha256(f"{ENCODER_DIGEST} {features}".encode()).hexdigest()[:16]

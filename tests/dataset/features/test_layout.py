import numpy as np
import pytest

from dataset.errors import ConfigError
from dataset.features.encoder import Encoded, encode_columns
from dataset.features.layout import (
    ALL,
    BASE,
    ENCODER_DIGEST,
    FEATURES,
    GROUPS,
    INDICES,
    encoder_digest,
    kept_columns,
    left_out_groups,
    missing_groups,
    parse_features,
    union_of,
    zeroed,
)
from dataset.schema import COLUMNS, NUM_ITEM_SLOTS, SIDES, Columns, Version
from tests.dataset.builders import random_columns, under

SINCE = {column.name: column.since for column in COLUMNS}
NAMES = [feature.name for feature in FEATURES] + [name for name, _ in INDICES]


def of_sides(*names: str) -> set[str]:
    return {f"{side}_{name}" for side in SIDES for name in names}


def of_slots(*names: str) -> set[str]:
    return {f"item{slot}_{name}" for slot in range(NUM_ITEM_SLOTS) for name in names}


LEFT_OUT = {
    "misc": {"has_misc", *of_sides("misc", "jumps", "on_ground", "nana_misc", "nana_on_ground")},
    "hurtbox": {"has_hurtbox", *of_sides("hurtbox", "nana_hurtbox")},
    "speeds": {
        "has_speeds",
        *of_sides("speed_air_x", "speed_y", "speed_attack_x", "speed_attack_y", "speed_ground_x"),
    },
    "hitlag": {"has_hitlag", *of_sides("hitlag")},
    "items": {"has_items", *of_slots("exists", "owner", "x", "y", "speed_x", "speed_y", "kind")},
    "nana": of_sides(
        *(f"nana_{name}" for name in ("exists", "percent", "x", "y", "facing", "on_ground", "hurtbox")),
        *(f"nana_{name}" for name in ("action_frame", "misc", "action_state")),
    ),
}
"""Features and indices that are 0 without each group."""


def assert_equal(ours: Encoded, theirs: Encoded) -> None:
    np.testing.assert_array_equal(ours.continuous.view(np.uint16), theirs.continuous.view(np.uint16))
    np.testing.assert_array_equal(ours.indices, theirs.indices)


def nonzero(encoded: Encoded) -> set[str]:
    values = np.concatenate([encoded.continuous, encoded.indices])
    return {name for name, row in zip(NAMES, values, strict=True) if row.any()}


def recorded_before(columns: Columns, version: Version) -> Columns:
    return {name: column for name, column in columns.items() if SINCE[name] < version or name.startswith("item")}


@pytest.mark.parametrize("group", LEFT_OUT)
def test_a_group_left_out_is_zeros_and_nothing_else_changes(group: str) -> None:
    columns = random_columns(300, seed=1)
    whole, less = encode_columns(columns), encode_columns(kept_columns(columns, f"all-{group}"))
    assert nonzero(whole) == set(NAMES)
    assert nonzero(less) == set(NAMES) - LEFT_OUT[group]
    assert_equal(less, under(whole, f"all-{group}"))


@pytest.mark.parametrize(
    ("features", "version"),
    [
        ("all-hitlag", (3, 8, 0)),
        ("all-speeds-hitlag", (3, 5, 0)),
        ("base+misc+items+nana", (2, 1, 0)),
        ("base+items+nana", (2, 0, 0)),
    ],
)
def test_a_choice_encodes_as_the_slippi_version_does_that_lacks_its_groups(features: str, version: Version) -> None:
    columns = random_columns(300, seed=2)
    assert_equal(encode_columns(kept_columns(columns, features)), encode_columns(recorded_before(columns, version)))


def test_the_base_is_what_no_group_holds() -> None:
    columns = random_columns(300, seed=1)
    base = encode_columns(kept_columns(columns, BASE))
    assert nonzero(base) == set(NAMES).difference(*LEFT_OUT.values())
    assert_equal(base, under(encode_columns(columns), BASE))


def test_all_features_are_the_very_columns_and_the_encoders_own_digest() -> None:
    columns = random_columns(3, seed=4)
    assert kept_columns(columns, ALL) is columns
    assert zeroed(ALL) == ((), ())
    assert encoder_digest(ALL) == ENCODER_DIGEST == "513b37c80e7aa6c2"


def test_every_choice_has_a_digest_of_its_own() -> None:
    choices = [ALL, BASE, *(f"all-{group}" for group in GROUPS), *(f"base+{group}" for group in GROUPS)]
    assert len({encoder_digest(choice) for choice in choices}) == len(choices)
    assert encoder_digest("all-items") == "121c1361fc2aba07"


@pytest.mark.parametrize(
    ("text", "spelling", "left"),
    [
        ("all", "all", ()),
        ("base", "base", ("misc", "hurtbox", "speeds", "hitlag", "items", "nana")),
        (" all-nana-items ", "all-items-nana", ("items", "nana")),
        ("base+items+speeds", "base+speeds+items", ("misc", "hurtbox", "hitlag", "nana")),
        ("base+speeds+items+hitlag+misc", "all-hurtbox-nana", ("hurtbox", "nana")),
        ("all-misc-hurtbox-speeds-hitlag", "base+items+nana", ("misc", "hurtbox", "speeds", "hitlag")),
        ("all-misc-hurtbox-speeds-hitlag-items-nana", "base", tuple(GROUPS)),
        ("base+misc+hurtbox+speeds+hitlag+items+nana", "all", ()),
        ("base+misc+hurtbox+speeds", "all-hitlag-items-nana", ("hitlag", "items", "nana")),
    ],
)
def test_equal_choices_have_one_spelling(text: str, spelling: str, left: tuple[str, ...]) -> None:
    assert (parse_features(text), left_out_groups(text)) == (spelling, left)
    assert parse_features(spelling) == spelling


@pytest.mark.parametrize(
    "text", ["", "speeds", "all,-items", "all+items", "base-items", "all-", "base+speeds-items", "-items"]
)
def test_what_is_no_choice_is_refused_with_examples_and_all_groups(text: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"must be all, all less some groups or base and some, as in all-items-nana or base\+speeds; groups are misc,",
    ):
        parse_features(text)


def test_an_unknown_group_is_named_beside_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="features 'all-items-shield': unknown shield; groups are misc, hurtbox, speeds"
    ):
        parse_features("all-items-shield")


def test_what_a_store_lacks_for_a_run_is_what_it_leaves_out_and_the_run_takes_in() -> None:
    assert missing_groups("all-items-nana", "all") == ("items", "nana")
    assert missing_groups("all-items-nana", "all-items") == ("nana",)
    assert missing_groups("all-items-nana", "base+speeds") == ()
    assert missing_groups("all", "base") == missing_groups("base", "base") == ()


def test_choices_joined_take_in_what_one_of_them_does() -> None:
    assert union_of(["all-items-nana", "base+items"]) == "all-nana"
    assert union_of(["base+speeds", "base+hitlag"]) == "base+speeds+hitlag"
    assert union_of(["base", "base"]) == "base"
    assert union_of(["base", "all"]) == "all"


def test_these_are_all_groups() -> None:
    assert list(GROUPS) == list(LEFT_OUT)

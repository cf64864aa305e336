from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.duels.generate import generate_replay
from dataset.features.encoder import (
    EXCHANGE_FEATURES,
    FRAME_ENCODERS,
    MIRROR_SIGNS,
    Encoded,
    clipped_float16_bits,
    controller_matrix,
    encode,
    encode_columns,
    perspective,
)
from dataset.features.layout import (
    ENCODER_DIGEST,
    FEATURE_ROW,
    FEATURES,
    HITSTUN_STATES,
    INDEX_ROW,
    INDICES,
    RAW_NAMES,
    RAW_ROW,
)
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.schema import Columns, Version
from ingest.replay.parse import parse_columns
from tests.dataset.builders import exchange_sides, mirror_left_and_right, random_columns, stack

SEEDS = range(3)


def _one_frame(**values: float) -> dict[str, NDArray[np.generic]]:
    """A frame of two players standing at the centre of Battlefield, with the named columns changed."""
    base = {"frame": 0, "stage": 4, "a_x": 0, "a_y": 0, "b_x": 0, "b_y": 0}
    return {name: np.array([value], dtype=np.float32) for name, value in {**base, **values}.items()}


def _feature(columns: Columns, name: str) -> float:
    return float(encode_columns(columns).continuous[FEATURE_ROW[name], 0])


def _index(columns: Columns, name: str) -> int:
    return int(encode_columns(columns).indices[INDEX_ROW[name], 0])


FIGHTER_VALUES = {
    "percent": (85.9, 0.85),
    "x": (-40.0, -2.0),
    "y": (12.5, 0.625),
    "facing": (-1, -1.0),
    "shield": (45.0, 0.75),
    "stocks": (3, 0.75),
    "jumps": (3, 0.5),
    "on_ground": (1, 1.0),
    "hurtbox": (2, 1.0),
    "action_frame": (30.9, 0.5),
    "hitlag": (4.75, 0.4),
    "speed_air_x": (-1.5, -0.75),
    "speed_y": (-3.0, -1.5),
    "speed_attack_x": (2.25, 1.125),
    "speed_attack_y": (0.5, 0.25),
    "speed_ground_x": (1.0, 0.5),
}
"""Column: (recorded, encoded by hand)."""


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("name", FIGHTER_VALUES)
def test_a_fighters_features_have_the_values_computed_by_hand(side: str, name: str) -> None:
    recorded, expected = FIGHTER_VALUES[name]
    assert _feature(_one_frame(**{f"{side}_{name}": recorded}), f"{side}_{name}") == np.float16(expected)


def test_relative_features_have_the_values_computed_by_hand() -> None:
    columns = _one_frame(frame=2880, a_x=-40, a_y=10, b_x=20, b_y=-70)
    names = ("frame", "dx", "dy", "distance", "a_ledge", "b_ledge")
    by_hand = (0.1, 60 / 200, -80 / 100, 100 / 200, (71.3079 - 40) / 20, (71.3079 - 20) / 20)
    assert [_feature(columns, name) for name in names] == [float(np.float16(value)) for value in by_hand]


def test_beyond_the_ledge_the_distance_is_negative_and_other_stages_have_none() -> None:
    assert _feature(_one_frame(a_x=-91.3079), "a_ledge") == -1.0
    assert _feature(_one_frame(a_x=-91.3079, stage=6), "a_ledge") == 0.0


def test_nanas_features_have_the_values_computed_by_hand() -> None:
    nana = {"exists": 1, "x": 10, "y": -20, "facing": -1, "on_ground": 1, "hurtbox": 1}
    columns = _one_frame(
        **{f"a_nana_{name}": value for name, value in nana.items()}, a_nana_action_frame=15.7, a_nana_percent=50.9
    )
    encoded = {name: _feature(columns, f"a_nana_{name}") for name in (*nana, "percent", "action_frame")}
    assert encoded == {**nana, "percent": 0.5, "x": 0.5, "y": -1.0, "action_frame": 0.25}


def test_an_items_features_have_the_values_computed_by_hand() -> None:
    item = {"kind": 0x71, "owner": -1, "x": 100, "y": 40, "speed_x": 3, "speed_y": -0.5}
    columns = _one_frame(**{f"item2_{name}": value for name, value in item.items()})
    names = ("exists", "owner", "x", "y", "speed_x", "speed_y")
    assert [_feature(columns, f"item2_{name}") for name in names] == [1, -1, 5, 2, 1.5, -0.25]
    assert _index(columns, "item2_kind") == 0x71
    assert [_feature(columns, f"item{slot}_exists") for slot in (0, 1, 3, 4)] == [0, 0, 0, 0]


def test_indices_are_the_ids_themselves() -> None:
    values = {"stage": 4, "a_action_state": 350, "b_action_state": 24, "a_character": 16, "b_nana_action_state": 14}
    columns = _one_frame(**values)
    assert {name: _index(columns, name) for name in values} == values


@pytest.mark.parametrize(("name", "size"), INDICES)
def test_ids_beyond_a_table_share_its_last_row(name: str, size: int) -> None:
    assert _index(_one_frame(**{name: size + 500}), name) == size - 1
    assert _index(_one_frame(**{name: size - 1}), name) == size - 1


@pytest.mark.parametrize(
    ("state", "hitstun"), [(75, 0.5), (91, 0.5), (185, 0.5), (247, 0.5), (74, 0), (92, 0), (14, 0)]
)
@pytest.mark.parametrize("fighter", ["a", "b_nana"])
def test_misc_counts_hitstun_only_in_hitstun_states(state: int, hitstun: float, fighter: str) -> None:
    columns = _one_frame(**{f"{fighter}_misc": 60.9, f"{fighter}_action_state": state})
    assert _feature(columns, f"{fighter}_misc") == hitstun


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000, 0x7FA00000, 0x00000001])
@pytest.mark.parametrize("state", [14, 80])
def test_integer_bits_recorded_as_a_float_become_zero_without_a_warning(bits: int, state: int) -> None:
    columns = {**_one_frame(a_action_state=state), "a_misc": np.array([bits], dtype=np.uint32).view(np.float32)}
    assert _feature(columns, "a_misc") == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a_x", "b_y", "a_hitlag", "a_action_frame", "item0_x"])
def test_what_is_not_finite_becomes_zero(name: str, value: float) -> None:
    encoded = encode_columns(_one_frame(**{name: value}))
    assert encoded.continuous[FEATURE_ROW[name], 0] == 0.0
    assert np.isfinite(encoded.continuous).all()


@pytest.mark.parametrize(("recorded", "encoded"), [(199.0, 9.95), (201.0, 10.0), (-5000.0, -10.0), (3e38, 10.0)])
def test_positions_are_held_within_the_clip(recorded: float, encoded: float) -> None:
    assert _feature(_one_frame(a_x=recorded), "a_x") == np.float16(encoded)


@pytest.mark.parametrize(
    ("version", "present"),
    [
        ((0, 2, 0), []),
        ((2, 0, 0), ["misc"]),
        ((2, 1, 0), ["misc", "hurtbox"]),
        ((3, 0, 0), ["misc", "hurtbox", "items"]),
        ((3, 5, 0), ["misc", "hurtbox", "speeds", "items"]),
        ((3, 8, 0), ["misc", "hurtbox", "speeds", "hitlag", "items"]),
    ],
)
def test_columns_a_version_lacks_are_zero_and_its_masks_say_so(
    version: tuple[int, int, int], present: list[str]
) -> None:
    columns = random_columns(50, seed=1, version=version)
    continuous = encode_columns(columns).continuous
    groups = ["misc", "hurtbox", "speeds", "hitlag", "items"]
    assert [group for group in groups if continuous[FEATURE_ROW[f"has_{group}"]].all()] == present
    absent = [i for i, f in enumerate(FEATURES) if f.raw not in columns and f.name.startswith(("a_", "b_")) and f.raw]
    assert not continuous[absent].any()


def test_an_absent_column_is_told_from_a_zero() -> None:
    with_hitlag = encode_columns(_one_frame(a_hitlag=0, b_hitlag=0))
    without = encode_columns(_one_frame())
    row = FEATURE_ROW["has_hitlag"]
    assert (with_hitlag.continuous[row, 0], without.continuous[row, 0]) == (1, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_frame_alone_equals_the_same_frame_within_a_replay_bit_for_bit(seed: int) -> None:
    raw = stack(random_columns(97, seed))
    whole = encode(raw)
    alone = [encode(np.ascontiguousarray(raw[:, t : t + 1])) for t in range(raw.shape[1])]
    assert np.hstack([one.continuous for one in alone]).tobytes() == whole.continuous.tobytes()
    assert np.hstack([one.indices for one in alone]).tobytes() == whole.indices.tobytes()


VERSIONS = [(0, 2, 0), (2, 0, 0), (3, 0, 0), (3, 19, 0)]


@pytest.mark.parametrize("version", VERSIONS)
def test_columns_and_the_raw_matrix_of_them_give_the_same_bits(version: Version) -> None:
    columns = random_columns(9000, seed=6, version=version)
    columns["item3_x"] = np.zeros(9000, dtype=np.float32) if version >= (3, 0, 0) else columns["a_x"]
    columns["a_x"][:5] = [np.nan, np.inf, -np.inf, -0.0, 3e38]
    from_columns, from_matrix = encode_columns(columns), encode(stack(columns))
    assert from_columns.continuous.tobytes() == from_matrix.continuous.tobytes()
    assert from_columns.indices.tobytes() == from_matrix.indices.tobytes()


def test_encoding_leaves_the_columns_alone() -> None:
    columns = random_columns(10, seed=0)
    before = {name: column.copy() for name, column in columns.items()}
    encode_columns(columns)
    assert all(np.array_equal(columns[name], before[name], equal_nan=before[name].dtype.kind == "f") for name in before)


def test_encoding_leaves_the_raw_matrix_alone() -> None:
    raw = stack(random_columns(10, seed=0))
    before = raw.copy()
    encode(raw)
    assert np.array_equal(raw, before, equal_nan=True)


def test_shapes_and_dtypes_are_the_stored_ones() -> None:
    encoded = encode_columns(random_columns(7, seed=0))
    assert (encoded.continuous.shape, encoded.continuous.dtype) == ((len(FEATURES), 7), np.float16)
    assert (encoded.indices.shape, encoded.indices.dtype) == ((len(INDICES), 7), np.uint16)
    assert stack(random_columns(7, seed=0)).shape == (len(RAW_NAMES), 7)
    assert encode(np.empty((len(RAW_NAMES), 0), dtype=np.float32)).continuous.shape == (len(FEATURES), 0)


def _assert_equal(left: Encoded, right: Encoded) -> None:
    assert np.array_equal(left.continuous, right.continuous)
    assert np.array_equal(left.indices, right.indices)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_other_perspective_equals_encoding_the_players_exchanged(seed: int) -> None:
    columns = random_columns(97, seed)
    _assert_equal(perspective(encode_columns(columns), 1), encode_columns(exchange_sides(columns)))


def test_perspective_is_an_involution_and_side_a_is_as_stored() -> None:
    encoded = encode_columns(random_columns(97, seed=4))
    _assert_equal(perspective(perspective(encoded, 1), 1), encoded)
    assert perspective(encoded, 0) is encoded
    assert EXCHANGE_FEATURES[EXCHANGE_FEATURES].tolist() == list(range(len(FEATURES)))


@pytest.mark.parametrize("seed", SEEDS)
def test_mirror_signs_equal_encoding_the_frames_in_a_mirror(seed: int) -> None:
    columns = random_columns(97, seed)
    encoded, mirrored = encode_columns(columns), encode_columns(mirror_left_and_right(columns))
    _assert_equal(Encoded(encoded.continuous * MIRROR_SIGNS[:, None], encoded.indices), mirrored)
    assert set(MIRROR_SIGNS.tolist()) == {-1.0, 1.0}


def test_mirror_and_perspective_commute() -> None:
    encoded = encode_columns(random_columns(97, seed=5))
    signs = MIRROR_SIGNS[:, None]
    mirrored_first = perspective(Encoded(encoded.continuous * signs, encoded.indices), 1)
    _assert_equal(mirrored_first, Encoded(perspective(encoded, 1).continuous * signs, perspective(encoded, 1).indices))


def test_names_are_unique_and_every_feature_is_fed_or_derived() -> None:
    names = [feature.name for feature in FEATURES]
    assert (len(set(names)), len(set(RAW_NAMES))) == (len(names), len(RAW_NAMES))
    derived = {feature.name for feature in FEATURES if feature.raw is None}
    assert derived == {"dx", "dy", "distance", "a_ledge", "b_ledge", *(f"item{slot}_exists" for slot in range(5))}
    assert {feature.raw for feature in FEATURES if feature.raw} <= set(RAW_ROW)


def test_every_raw_row_reaches_the_encoding() -> None:
    used = {feature.raw for feature in FEATURES} | {name for name, _ in INDICES}
    assert set(RAW_NAMES) - used == set()


def test_hitstun_states_fit_the_action_state_table() -> None:
    assert max(HITSTUN_STATES) < NUM_ACTION_STATES


def test_float16_errs_on_positions_by_no_more_than_is_documented() -> None:
    for limit, error in ((80, 0.02), (200, 0.08)):
        x = np.linspace(-limit, limit, 20001, dtype=np.float32)[1:-1]
        columns = {"frame": np.zeros(len(x), np.int32), "a_x": x}
        stored = encode_columns(columns).continuous[FEATURE_ROW["a_x"]].astype(np.float64) / 0.05
        assert np.abs(stored - x).max() <= error


def test_the_digest_is_pinned() -> None:
    assert ENCODER_DIGEST == "513b37c80e7aa6c2"


def test_values_are_rounded_to_float16_as_numpy_rounds() -> None:
    halves = np.arange(0x4900, dtype=np.uint16).view(np.float16).astype(np.float32)  # all from 0 to 10
    between = (halves[1:] + halves[:-1]) / 2
    values = [halves, between, np.nextafter(between, np.float32(0)), np.nextafter(between, np.float32(99))]
    values += [-part for part in values]
    raw = np.zeros((len(RAW_NAMES), sum(map(len, values))), dtype=np.float32)
    raw[RAW_ROW["has_misc"]] = np.concatenate(values)  # of scale 1
    found = encode(raw).continuous[FEATURE_ROW["has_misc"]]
    np.testing.assert_array_equal(found.view(np.uint16), raw[RAW_ROW["has_misc"]].astype(np.float16).view(np.uint16))


def test_a_negative_zero_keeps_its_sign_alone_and_in_company() -> None:
    columns = _one_frame(a_percent=-0.0)
    pair = {name: np.repeat(column, 2) for name, column in columns.items()}
    pair["a_percent"][1] = 1
    for encoded in (encode_columns(columns), encode_columns(pair)):
        assert np.signbit(encoded.continuous[FEATURE_ROW["a_percent"], 0])


ODD = np.array([0.0, -0.0, 1.0, -1.0, 0.49, 75.0, 185.5, 3e4, -3e4, 1e20, -1e38, np.nan, np.inf, -np.inf], np.float32)


def differing_frames(raw: NDArray[np.float32]) -> list[tuple[int, int]]:
    """(side, frame) wherever the two ways differ."""
    found = []
    for side, alone in enumerate(FRAME_ENCODERS):
        whole = perspective(encode(raw), side)
        for t in range(raw.shape[1]):
            continuous, indices = alone.encode(np.ascontiguousarray(raw[:, t]))
            same = np.array_equal(continuous.view(np.uint16), whole.continuous[:, t].view(np.uint16))
            if not (same and np.array_equal(indices, whole.indices[:, t])):
                found.append((side, t))
    return found


def replay_frames(path: Path) -> NDArray[np.float32]:
    return stack(parse_columns(path, rollback="first").columns)


def test_every_frame_of_a_generated_replay_is_encoded_alike(tmp_path: Path) -> None:
    generate_replay(tmp_path / "duel.slp", seed=1, characters=("fox", "mewtwo"), frames=600)
    raw = replay_frames(tmp_path / "duel.slp")
    assert differing_frames(raw) == []
    assert differing_frames(as_live(raw)) == []


def test_every_frame_of_real_replays_is_encoded_alike(modern_replays: list[Path]) -> None:
    for path in modern_replays[:2]:
        assert differing_frames(as_live(replay_frames(path)[:, :3000])) == []


def as_live(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """As play fills a column: what is not there is 0."""
    return np.nan_to_num(raw, nan=0.0)


def test_numbers_that_no_game_shows_are_encoded_alike() -> None:
    random = np.random.default_rng(0)
    raw = random.normal(scale=100, size=(len(RAW_NAMES), 1000)).astype(np.float32)
    odd = random.random(raw.shape) < 0.002
    raw[odd] = random.choice(ODD, odd.sum())
    raw[RAW_ROW["stage"]] = random.integers(0, 8, raw.shape[1])
    for name, size in INDICES:
        raw[RAW_ROW[name]] = np.where(random.random(raw.shape[1]) < 0.9, random.integers(0, size, raw.shape[1]), 5000)
    raw[RAW_ROW["a_action_state"], ::3] = 80
    assert differing_frames(raw) == []


def test_shapes_and_types_are_the_stored_ones() -> None:
    continuous, indices = FRAME_ENCODERS[0].encode(np.zeros(len(RAW_NAMES), np.float32))
    assert (continuous.shape, continuous.dtype) == ((len(FEATURES),), np.dtype(np.float16))
    assert (indices.shape, indices.dtype) == ((len(INDICES),), np.dtype(np.uint16))


HIGH = np.arange(2**16, dtype=np.uint32) << 16
"""Every sign, exponent and first seven bits of a mantissa."""


@pytest.mark.parametrize("low", [0x0000, 0x0001, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0xFFFF])
@pytest.mark.parametrize("limit", [10.0, 2.0**15])
def test_float16_bits_are_those_of_numpy_within_the_limit_and_zero_where_not_finite(low: int, limit: float) -> None:
    values = (HIGH | np.uint32(low)).view(np.float32)
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isfinite(values), np.clip(values, -limit, limit), 0).astype(np.float16)
    found = clipped_float16_bits(values.reshape(8, -1).copy(), limit)
    np.testing.assert_array_equal(found.reshape(-1), expected.view(np.uint16))


def test_controllers_stack_in_the_codecs_order() -> None:
    columns = {
        f"a_{name}": np.array([i, -i], dtype=np.int16)
        for i, name in enumerate(("main_x", "main_y", "c_x", "c_y", "trigger", "buttons"))
    }
    assert controller_matrix(columns, "a").tolist() == [[0, 1, 2, 3, 4, 5], [0, -1, -2, -3, -4, -5]]
    assert controller_matrix(columns, "a").dtype == np.int32

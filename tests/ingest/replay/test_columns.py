from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataset.errors import ReplayError
from ingest.replay.columns import Extracted, FrameBuffers, extract, kept_rows

RECORDS = pa.array(
    [
        {
            "id": 1,
            "post": {"x": 0.5, "flags": {"0": 7}},
            "item": [{"id": 4, "at": {"y": 1.5}}, {"id": 5, "at": {"y": 2.5}}],
        },
        {"id": 2, "post": None, "item": []},
        {"id": 3, "post": {"x": 1.5, "flags": {"0": 9}}, "item": [{"id": 6, "at": {"y": 3.5}}]},
    ],
    pa.struct(
        [
            ("id", pa.int32()),
            ("name", pa.string()),
            ("post", pa.struct([("x", pa.float32()), ("flags", pa.struct([("0", pa.uint8())]))])),
            ("item", pa.list_(pa.struct([("id", pa.uint32()), ("at", pa.struct([("y", pa.float32())]))]))),
        ]
    ),
)


def record(**changes: Any) -> dict[str, Any]:
    """One player's pre and post frame of the oldest version, resting."""
    stick = {"x": 0.0, "y": 0.0}
    pre = {
        **{"joystick": stick, "cstick": stick, "triggers": 0.0, "buttons": 0, "buttons_physical": 0},
        "triggers_physical": {"l": 0.0, "r": 0.0},
    }
    post = {
        **{"character": 16, "state": 14, "position": stick, "direction": 1.0, "percent": 0.0, "shield": 60.0},
        **{"last_attack_landed": 0, "combo_count": 0, "last_hit_by": 6, "stocks": 4},
    }
    for name, value in changes.items():
        (pre if name in pre else post)[name] = value
    return {"pre": pre, "post": post}


def frame(number: int, a: dict[str, Any] | None = None, b: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": number, "ports": {"P1": {"leader": a or record()}, "P3": {"leader": b or record()}}, **more}


def extracted(frames: list[dict[str, Any]], rollback: str = "last") -> Extracted:
    return extract(_typed(frames), (1, 3), 4, rollback)  # type: ignore[arg-type]


def _typed(frames: list[dict[str, Any]]) -> pa.StructArray:
    array = pa.array(frames)
    floats = {pa.float64(): pa.float32()}
    narrow = {"id": pa.int32(), "state": pa.uint16(), "owner": pa.int8()}

    def cast(kind: pa.DataType, name: str) -> pa.DataType:
        if pa.types.is_struct(kind):
            return pa.struct([pa.field(f.name, cast(f.type, f.name)) for f in kind])
        if pa.types.is_list(kind):
            return pa.list_(cast(kind.value_type, ""))
        return floats.get(kind) or (narrow.get(name, pa.uint32()) if pa.types.is_integer(kind) else kind)

    return array.cast(cast(array.type, ""))


def item(spawn_id: int, **changes: Any) -> dict[str, Any]:
    place = {"x": 1.5, "y": -2.5}
    about = {
        "type": 0x70,
        "state": 1,
        "direction": 1.0,
        "velocity": place,
        "position": place,
        "damage": 3,
        "timer": 9.0,
    }
    misc = {"0": 1, "1": 2, "2": 3, "3": 4}
    return {**about, "id": spawn_id, "misc": misc, "owner": 0, **changes}


@pytest.mark.parametrize(
    ("ids", "rollback", "rows", "resimulated"),
    [
        ([-123, -122, -121], "last", None, [False, False, False]),
        ([-123, -122, -122, -121], "last", [0, 2, 3], [False, True, False]),
        ([-123, -122, -122, -121], "first", [0, 1, 3], [False, True, False]),
        ([5, 6, 7, 5, 6, 7, 8, 7, 8], "last", [3, 4, 7, 8], [True, True, True, True]),
        ([5, 6, 7, 5, 6, 7, 8, 7, 8], "first", [0, 1, 2, 6], [True, True, True, True]),
        ([], "last", None, []),
    ],
)
def test_one_row_a_frame_in_order_by_the_rollback_rule(
    ids: list[int], rollback: str, rows: list[int] | None, resimulated: list[bool]
) -> None:
    found, copies = kept_rows(np.array(ids, dtype=np.int32), rollback)  # type: ignore[arg-type]
    assert (None if found is None else found.tolist()) == rows
    assert copies.tolist() == resimulated


def test_gaps_are_counted_from_the_first_frame_of_every_game() -> None:
    found = extracted([frame(-122), frame(-121), frame(-118)])
    assert found.columns["frame"].tolist() == [-122, -121, -118]
    assert found.frame_gaps == 3


def test_a_frame_that_lacks_a_player_has_no_row() -> None:
    broken = frame(-122)
    broken["ports"]["P3"]["leader"] = None
    found = extracted([frame(-123), broken, frame(-121, a=record(stocks=3))])
    assert found.columns["frame"].tolist() == [-123, -121]
    assert found.columns["a_stocks"].tolist() == [4, 3]
    assert found.frame_gaps == 1
    without_a, without_b = frame(-123), frame(-122)
    without_a["ports"]["P1"]["leader"] = without_b["ports"]["P3"]["leader"] = None
    with pytest.raises(ReplayError, match="found none"):
        extracted([without_a, without_b])


def test_sticks_and_triggers_are_stored_on_their_lattice() -> None:
    on = record(joystick={"x": -1.0, "y": 0.2875}, cstick={"x": 0.9875, "y": 0.0}, triggers=0.35)
    found = extracted([frame(-123, a=on)])
    names = ("main_x", "main_y", "c_x", "c_y", "trigger")
    assert [int(found.columns[f"a_{name}"][0]) for name in names] == [-80, 23, 79, 0, 49]
    assert found.off_lattice == 0


def test_values_between_lattice_points_are_rounded_and_counted() -> None:
    cpu = record(joystick={"x": -127 / 128, "y": 0.5}, triggers=float("nan"))
    found = extracted([frame(-123, a=cpu)])
    assert found.columns["a_main_x"].tolist() == [-79]
    assert found.columns["a_trigger"].tolist() == [0]
    assert found.off_lattice == 2
    assert found.non_finite == {"a_trigger": 1}


def test_what_no_controller_can_reach_is_held_to_what_it_can_and_counted() -> None:
    damaged = record(joystick={"x": -3.0, "y": 2.0}, triggers=1.5, triggers_physical={"l": 1.8, "r": 0.0})
    found = extracted([frame(-123, a=damaged)])
    names = ("main_x", "main_y", "trigger", "trigger_l")
    assert [int(found.columns[f"a_{name}"][0]) for name in names] == [-80, 80, 140, 252]
    assert found.off_lattice == 3


def test_a_physical_trigger_that_is_none_is_absent() -> None:
    garbage = record(triggers_physical={"l": 0.5, "r": 3.7e22})
    found = extracted([frame(-123, b=garbage)])
    assert "b_trigger_r" not in found.columns
    assert found.columns["b_trigger_l"].tolist() == [70]
    assert found.columns["a_trigger_r"].tolist() == [0]


def test_non_finite_values_are_kept_and_counted_by_column() -> None:
    found = extracted([frame(-123, a=record(percent=float("inf"))), frame(-122, a=record(percent=float("nan")))])
    assert found.non_finite == {"a_percent": 2}
    assert np.isinf(found.columns["a_percent"][0])


def test_large_finite_values_are_not_taken_for_infinite() -> None:
    found = extracted([frame(n, a=record(percent=3e38)) for n in (-123, -122)])
    assert found.non_finite == {}


def test_facing_is_one_or_minus_one() -> None:
    found = extracted([frame(-123 + i, a=record(direction=d)) for i, d in enumerate((1.0, -1.0, 0.0))])
    assert found.columns["a_facing"].tolist() == [1, -1, -1]


def test_items_keep_their_slot_and_name_their_owner_by_side() -> None:
    frames = [
        frame(-123, item=[item(7, owner=0), item(8, owner=2)]),
        frame(-122, item=[item(8, owner=2, type=300), item(9, owner=-1)]),
        frame(-121, item=[]),
    ]
    columns = extracted(frames).columns
    assert columns["num_items"].tolist() == [2, 2, 0]
    assert columns["item0_spawn_id"].tolist() == [7, 9, 0]
    assert columns["item1_spawn_id"].tolist() == [8, 8, 0]
    assert columns["item0_owner"].tolist() == [1, 0, 0]
    assert columns["item1_owner"].tolist() == [-1, -1, 0]
    assert columns["item1_kind"].tolist() == [0x71, 255, 0]
    assert columns["item0_misc"].tolist() == [0x04030201, 0x04030201, 0]
    assert columns["item0_y"].tolist() == [-2.5, -2.5, 0.0]
    assert columns["item4_x"].tolist() == [0.0, 0.0, 0.0]


def test_items_follow_the_copy_of_the_frame_that_is_kept() -> None:
    frames = [frame(-123, item=[item(1)]), frame(-122, item=[item(1), item(2)]), frame(-122, item=[item(3)])]
    last, first = (extracted(frames, rule).columns for rule in ("last", "first"))
    assert (last["num_items"].tolist(), last["item0_spawn_id"].tolist()) == ([1, 1], [1, 3])
    assert (first["num_items"].tolist(), first["item0_spawn_id"].tolist()) == ([1, 2], [1, 1])


def test_a_slot_that_no_item_ever_took_cannot_be_written_to() -> None:
    columns = extracted([frame(-123, item=[item(1)])]).columns
    with pytest.raises(ValueError, match="read-only"):
        columns["item4_x"][0] = 1.0
    columns["item0_x"][0] = 1.0


def test_non_finite_values_of_items_are_counted_by_slot() -> None:
    lost = {"x": float("nan"), "y": 0.0}
    found = extracted([frame(-123, item=[item(1), item(2, position=lost)]), frame(-122, item=[item(2, position=lost)])])
    assert found.non_finite == {"item1_x": 2}


@pytest.mark.parametrize(
    ("path", "count", "values", "dtype"),
    [
        ("id", None, [1, 2, 3], "int32"),
        ("post.x", None, [0.5, 0.0, 1.5], "float32"),
        ("post.flags.0", None, [7, 0, 9], "uint8"),
        ("item.offsets", 4, [0, 2, 2, 3], "int32"),
        ("item.id", 3, [4, 5, 6], "uint32"),
        ("item.at.y", 3, [1.5, 2.5, 3.5], "float32"),
    ],
)
def test_numbers_are_found_by_their_path(path: str, count: int | None, values: list[float], dtype: str) -> None:
    found = FrameBuffers(RECORDS).values(path, count)
    assert (found.tolist(), found.dtype) == (values, np.dtype(dtype))


def test_records_that_are_null_are_known() -> None:
    buffers = FrameBuffers(RECORDS)
    assert buffers.is_present("item") is None
    found = buffers.is_present("post")
    assert found is not None
    assert found.tolist() == [True, False, True]


def test_what_the_array_lacks_is_not_found() -> None:
    buffers = FrameBuffers(RECORDS)
    assert ("post" in buffers, "post.y" in buffers, "name" in buffers) == (True, False, False)
    with pytest.raises(KeyError):
        buffers.values("post.y")


def test_arrays_of_two_types_are_told_apart() -> None:
    other = pa.array([{"x": 1.0, "id": 8}], pa.struct([("x", pa.float32()), ("id", pa.int32())]))
    assert [FrameBuffers(array).values("id").tolist() for array in (RECORDS, other, RECORDS)] == [
        [1, 2, 3],
        [8],
        [1, 2, 3],
    ]


def test_an_array_without_records_has_no_numbers() -> None:
    assert FrameBuffers(RECORDS[:0].filter(pa.array([], pa.bool_()))).values("id").tolist() == []

import numpy as np

from dataset import schema
from dataset.features import encoder as encode


def test_column_names_are_unique() -> None:
    names = [column.name for column in schema.COLUMNS]
    assert len(set(names)) == len(names)


def test_every_dtype_is_a_numpy_name_of_at_most_four_bytes() -> None:
    sizes = {column.name: np.dtype(column.dtype).itemsize for column in schema.COLUMNS}
    assert {name: size for name, size in sizes.items() if size > 4} == {}
    assert {column.name for column in schema.COLUMNS if np.dtype(column.dtype).name != column.dtype} == set()


def test_both_sides_have_the_same_columns() -> None:
    a, b = ([c.name.removeprefix(f"{side}_") for c in schema.side_columns(side)] for side in schema.SIDES)
    assert a == b
    assert len(schema.COLUMNS) == len(schema.FRAME_COLUMNS) + 2 * len(a) + len(schema.item_columns())


def test_nana_has_no_character_and_no_controller_of_her_own() -> None:
    nana = {c.name.removeprefix("a_nana_") for c in schema.side_columns("a") if c.name.startswith("a_nana_")}
    assert nana == {"exists"} | {c.name for c in schema.STATE_COLUMNS} - {"character"}


def test_version_groups_follow_slippis_specification() -> None:
    late: dict[schema.Version, set[str]] = {}
    for column in schema.STATE_COLUMNS + schema.CONTROLLER_COLUMNS + schema.PHYSICAL_COLUMNS:
        if column.since > (0, 1, 0):
            late.setdefault(column.since, set()).add(column.name)
    assert late == {
        (0, 2, 0): {"action_frame"},
        (1, 2, 0): {"raw_x", "trigger_r"},
        (2, 0, 0): {"misc", "on_ground", "jumps"},
        (2, 1, 0): {"hurtbox"},
        (3, 5, 0): {"speed_air_x", "speed_y", "speed_attack_x", "speed_attack_y", "speed_ground_x"},
        (3, 8, 0): {"hitlag"},
        (3, 15, 0): {"raw_y"},
        (3, 17, 0): {"raw_c_x", "raw_c_y"},
    }
    assert {c.name: c.since for c in schema.ITEM_COLUMNS if c.since != (3, 0, 0)} == {
        "owner": (3, 6, 0),
        "misc": (3, 2, 0),
    }


def test_the_encoder_reads_only_columns_that_the_schema_has_and_live_play_sees() -> None:
    names = {column.name for column in schema.COLUMNS}
    record = {f"{s}_{c.name}" for s in schema.SIDES for c in schema.RECORD_COLUMNS + schema.PHYSICAL_COLUMNS}
    read = {name for name in encode.RAW_NAMES if not name.startswith("has_")}
    assert read - names == set()
    assert read & record == set()

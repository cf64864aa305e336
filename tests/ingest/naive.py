"""The slow, plain reading of a replay that the vectorised one must agree with: one frame, one Python object at a time."""

from typing import Any

import pyarrow as pa

from dataset.melee.item_slots import ItemSlots
from dataset.schema import CONTROLLER_COLUMNS, ITEM_COLUMNS, PHYSICAL_COLUMNS, RECORD_COLUMNS, STATE_COLUMNS


def naive_rows(frames: pa.StructArray, ports: tuple[int, int], stage: int, rollback: str) -> list[dict[str, Any]]:
    """One dict a frame with every value that the frame has; what is missing has no key."""
    kept: dict[int, Any] = {}
    copies: dict[int, int] = {}
    for frame in frames.to_pylist():
        number = frame["id"]
        copies[number] = copies.get(number, 0) + 1
        if rollback == "last" or number not in kept:
            kept[number] = frame
    slots = ItemSlots()
    return [_row(kept[number], copies[number] > 1, ports, stage, slots) for number in sorted(kept)]


def _row(frame: Any, resimulated: bool, ports: tuple[int, int], stage: int, slots: ItemSlots) -> dict[str, Any]:
    row: dict[str, Any] = {"frame": frame["id"], "resimulated": resimulated, "stage": stage}
    for side, port in zip("ab", ports, strict=True):
        fighter = frame["ports"][f"P{port}"]
        for column in (*STATE_COLUMNS, *RECORD_COLUMNS, *CONTROLLER_COLUMNS, *PHYSICAL_COLUMNS):
            _put(row, f"{side}_{column.name}", column.name, _value(fighter["leader"], column.source))
        nana = fighter.get("follower")
        row[f"{side}_nana_exists"] = nana is not None and nana["post"] is not None
        for column in STATE_COLUMNS[1:]:
            if row[f"{side}_nana_exists"]:
                _put(row, f"{side}_nana_{column.name}", column.name, _value(nana, column.source))
    if "item" in frame:
        items = frame["item"]
        row["num_items"] = len(items)
        for slot, position in enumerate(slots.assign([item["id"] for item in items])):
            for column in ITEM_COLUMNS:
                value = 0 if position < 0 else _item_value(items[position], column.name, column.source, ports)
                if value is not None and (position >= 0 or _is_recorded(frames_item_type(items), column.source)):
                    row[f"item{slot}_{column.name}"] = value
    return row


def frames_item_type(items: list[Any]) -> Any:
    """Any item, to see which fields its version has; ``None`` if the frame has no item."""
    return items[0] if items else None


def _is_recorded(item: Any, source: str) -> bool:
    return item is None or source.split(".")[1] in item


def _value(records: Any, source: str) -> Any:
    for part in source.split()[0].split("."):
        if part not in records:
            return None
        records = records[part]
    return records


def _put(row: dict[str, Any], key: str, name: str, value: Any) -> None:
    if value is None:
        return
    if name in ("main_x", "main_y", "c_x", "c_y"):
        value = round(value * 80)
    elif name in ("trigger", "trigger_l", "trigger_r"):
        value = round(value * 140)
    elif name == "facing":
        value = 1 if value > 0 else -1
    elif name == "on_ground":
        value = value == 0
    row[key] = value


def _item_value(item: Any, name: str, source: str, ports: tuple[int, int]) -> Any:
    value = _value({"item": item}, source)
    if value is None:
        return None
    if name == "kind":
        return value + 1
    if name == "owner":
        return {ports[0]: 1, ports[1]: -1}.get(value + 1, 0)
    if name == "misc":
        return value["0"] + 256 * (value["1"] + 256 * (value["2"] + 256 * value["3"]))
    return value

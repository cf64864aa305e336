from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dataset.errors import SchemaError
from dataset.store.frame_table import FRAME_SCHEMA
from dataset.store.manifest import (
    HUB_CARD_NAME,
    MANIFEST_NAME,
    SPLITS,
    Manifest,
    ShardInfo,
    hub_card,
    split_of,
    write_hub_card,
)

KEYS = [f"mode.unranked-2022-12-20T00:{n:05d}" for n in range(20_000)]
PINNED = [
    "train",
    "train",
    "train",
    "train",
    "train",
    "val",
    "train",
    "train",
    "train",
    "train",
    "train",
    "val",
]
"""Splits of match-0 … match-11 under seed 0: a store keeps what it was given."""


def shard(path: str, kind: str, split: str | None) -> ShardInfo:
    return ShardInfo(path=path, kind=kind, split=split, sha256="ab", bytes=3, samples=1, frames=2)  # type: ignore[arg-type]


MANIFEST = Manifest(
    schema_version=1,
    encoder_digest="e",
    codec="axis17",
    codec_digest="c",
    rollback="last",
    split_seed=0,
    filters={"character": None, "min_frames": 1800},
    replays=1,
    frames=2,
    digest="d",
    shards=(
        shard("windows/val-000001.tar", "windows", "val"),
        shard("frames/frames-00000.parquet", "frames", None),
        shard("windows/train-000000.tar", "windows", "train"),
    ),
    replays_sha256="r",
)


def test_a_manifest_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_saving_replaces_the_manifest_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MANIFEST.save(tmp_path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        replace(MANIFEST, frames=9).save(tmp_path)
    monkeypatch.undo()
    assert Manifest.load(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_shards_are_picked_by_kind_and_split_in_path_order() -> None:
    windows = ["windows/train-000000.tar", "windows/val-000001.tar"]
    assert [found.path for found in MANIFEST.of_kind("windows")] == windows
    assert [found.path for found in MANIFEST.of_kind("windows", "val")] == windows[1:]
    assert [found.path for found in MANIFEST.of_kind("frames")] == ["frames/frames-00000.parquet"]


def test_fields_of_a_newer_manifest_are_passed_over(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    path = tmp_path / MANIFEST_NAME
    path.write_text(path.read_text().replace('"codec"', '"later": 1,\n "codec"', 1))
    assert Manifest.load(tmp_path) == MANIFEST


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"shards": [{"path": 1}]}', '{"shards": []}'])
def test_a_damaged_manifest_is_refused_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(SchemaError, match=r"found damage .* run 'exphil ingest --rebuild'"):
        Manifest.load(tmp_path)


def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="found none; run 'exphil ingest SOURCE --store"):
        Manifest.load(tmp_path)


def test_the_digest_depends_on_data_and_rules_but_not_on_order() -> None:
    rows = [{"id": "1", "split": "train", "rows_digest": "x"}, {"id": "2", "split": "val", "rows_digest": "y"}]
    digest = MANIFEST.data_digest(rows)
    assert MANIFEST.data_digest(rows[::-1]) == replace(MANIFEST, split_seed=9).data_digest(rows) == digest
    rules: list[dict[str, Any]] = [{"schema_version": 9}, {"encoder_digest": "f"}, {"codec_digest": "d"}]
    others = [
        MANIFEST.data_digest(rows[:1]),
        MANIFEST.data_digest([rows[0], rows[1] | {"split": "test"}]),
        MANIFEST.data_digest([rows[0], rows[1] | {"rows_digest": "z"}]),
        *(replace(MANIFEST, **rule).data_digest(rows) for rule in (*rules, {"rollback": "first"})),
        MANIFEST.data_digest(rows, left={"2"}),
    ]
    assert len({digest, *others}) == 9


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"min_frames": 1800', '"min_frames": 600'),
        ('"rollback": "last"', '"rollback": "first"'),
        ('"split_seed": 0', '"split_seed": 1'),
        ('"where": ""', '"where": "frames > 3600"'),
        ('"features": "all"', '"features": "base"'),
    ],
)
def test_a_setting_changed_by_hand_is_noticed(old: str, new: str) -> None:
    text = MANIFEST.to_json()
    assert old in text
    with pytest.raises(SchemaError, match=r"must be those its data was made with .* found others .* restore it"):
        Manifest.from_json(text.replace(old, new), "store")


def test_a_manifest_from_before_settings_had_a_digest_is_read() -> None:
    lines = [line for line in MANIFEST.to_json().splitlines() if "settings_digest" not in line]
    assert Manifest.from_json("\n".join(lines), "store") == MANIFEST


def test_a_manifest_from_before_features_were_chosen_holds_all_and_its_settings_digest_stands() -> None:
    text = MANIFEST.to_json()
    assert '"settings_digest": "d45aaed930747391"' in text
    lines = [line for line in text.splitlines() if '"features"' not in line]
    assert len(lines) == len(text.splitlines()) - 1
    assert Manifest.from_json("\n".join(lines), "store") == MANIFEST
    assert replace(MANIFEST, features="base").settings_digest != MANIFEST.settings_digest


def test_eight_in_ten_train_one_validates_one_tests() -> None:
    counts = Counter(split_of(key, "", seed=0) for key in KEYS)
    shares = {split: round(counts[split] / len(KEYS), 2) for split in SPLITS}
    assert shares == {"train": 0.8, "val": 0.1, "test": 0.1}


def test_a_split_is_pinned_and_depends_on_the_key_and_the_seed_alone() -> None:
    assert [split_of(f"match-{n}", "", seed=0) for n in range(12)] == PINNED
    assert [split_of(key, "", 0) for key in KEYS[:500]] != [split_of(key, "", 1) for key in KEYS[:500]]


def test_games_of_one_match_stay_together() -> None:
    assert len({split_of("mode.ranked-1", f"{n:032x}", 0) for n in range(50)}) == 1


def test_a_replay_without_a_match_goes_by_its_content() -> None:
    by_content = [split_of("", f"match-{n}", seed=0) for n in range(12)]
    assert [split_of(None, f"match-{n}", seed=0) for n in range(12)] == by_content == PINNED


def test_the_card_of_an_ingested_store_lists_its_parquet_files_and_nothing_else(store: Path) -> None:
    _, head, body = (store / HUB_CARD_NAME).read_text().split("---\n", 2)
    about = YAML(typ="safe").load(head)
    files = {config["config_name"]: config["data_files"] for config in about["configs"]}
    assert files == {
        "frames": [{"split": "data", "path": "frames/*.parquet"}],
        "replays": [{"split": "data", "path": "replays.parquet"}],
    }
    assert {path.suffix for entry in files.values() for path in store.glob(entry[0]["path"])} == {".parquet"}
    assert "# Frames of 6 Melee games" in body
    (frames,) = about["dataset_info"]
    types = {"string": "string", "float": "float32"}
    assert frames["config_name"] == "frames"
    assert [(one["name"], one["dtype"]) for one in frames["features"]] == [
        (field.name, types.get(str(field.type), str(field.type))) for field in FRAME_SCHEMA
    ]


def test_a_store_without_frames_lists_only_its_replays(store: Path) -> None:
    empty = replace(Manifest.load(store), shards=())
    found = YAML(typ="safe").load(hub_card(empty).split("---\n")[1])
    assert [config["config_name"] for config in found["configs"]] == ["replays"]
    assert "dataset_info" not in found


def test_a_card_of_ours_is_renewed_and_somebodys_own_is_left_alone(store: Path) -> None:
    grown = replace(Manifest.load(store), replays=7)
    write_hub_card(store, grown)
    assert (store / HUB_CARD_NAME).read_text() == hub_card(grown)
    (store / HUB_CARD_NAME).write_text("# My games\n")
    write_hub_card(store, grown)
    assert (store / HUB_CARD_NAME).read_text() == "# My games\n"

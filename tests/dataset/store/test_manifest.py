import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dataset.errors import SchemaError
from dataset.store.frame_table import FRAME_SCHEMA
from dataset.store.hub_card import HUB_CARD_NAME, hub_card, write_hub_card
from dataset.store.manifest import MANIFEST_NAME, SPLITS, Manifest, ShardInfo, split_of

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
    return ShardInfo(path=path, kind=kind, split=split, sha256="ab" * 32, bytes=3, samples=1, frames=2)  # type: ignore[arg-type]


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
    replays_sha256="cd" * 32,
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


def test_a_manifest_that_nobody_could_read_is_not_written(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    with pytest.raises(SchemaError, match="at most 400 words and signs"):
        replace(MANIFEST, where="1" + "+1" * 500 + " > 0").save(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST


def test_shards_are_picked_by_kind_and_split_in_path_order() -> None:
    windows = ["windows/train-000000.tar", "windows/val-000001.tar"]
    assert [found.path for found in MANIFEST.of_kind("windows")] == windows
    assert [found.path for found in MANIFEST.of_kind("windows", "val")] == windows[1:]
    assert [found.path for found in MANIFEST.of_kind("frames")] == ["frames/frames-00000.parquet"]


HOSTILE: dict[str, Any] = {
    "path ../victim.txt": {"shards": [{"path": "../victim.txt"}]},
    "path of the root": {"shards": [{"path": "/etc/passwd"}]},
    "path with backslashes": {"shards": [{"path": "windows\\train-000000.tar"}]},
    "path of a drive": {"shards": [{"path": "C:/windows/train-000000.tar"}]},
    "path out of its folder": {"shards": [{"path": "windows/../../train-000000.tar"}]},
    "path that goes on": {"shards": [{"path": "windows/train-000000.tar\0"}]},
    "path of other digits": {"shards": [{"path": "windows/train-٠٠٠٠٠٠.tar"}]},
    "path with a line end": {"shards": [{"path": "windows/train-000000.tar\n"}]},
    "path of the manifest": {"shards": [{"path": "manifest.json"}]},
    "kind of another path": {"shards": [{"kind": "frames", "split": None}]},
    "split of another path": {"shards": [{"split": "val"}]},
    "no shard": {"shards": [None]},
    "sha256 /Zx": {"shards": [{"sha256": "/Zx"}]},
    "sha256 in capitals": {"shards": [{"sha256": "AB" * 32}]},
    "bytes below 0": {"shards": [{"bytes": -1}]},
    "bytes without end": {"shards": [{"bytes": 2**63}]},
    "frames true": {"shards": [{"frames": True}]},
    "samples 1.0": {"shards": [{"samples": 1.0}]},
    "shard key sampels": {"shards": [{"sampels": 1}]},
    "twice": {"shards": [{}, {}]},
    "replays_sha256 ../x": {"replays_sha256": "../" * 20 + "abcd"},
    "replays as text": {"replays": "1"},
    "replays of null": {"replays": None},
    "schema_version 0": {"schema_version": 0},
    "filters of a list": {"filters": []},
    "filter min_frame": {"filters": {"min_frame": 1}},
    "filter keep_names 1": {"filters": {"keep_names": 1}},
    "key were": {"were": ""},
    "codec with an escape": {"codec": "\x1b]0;x\a"},
    "where of a megabyte": {"where": "x" * 2**20},
}
"""What strangers may write into a manifest; a shard is the good one with these keys changed."""


def written(changes: dict[str, Any]) -> str:
    """The good manifest with some keys changed, and without the digests that a stranger would renew."""
    good = json.loads(MANIFEST.to_json())
    shard = next(one for one in good["shards"] if one["split"] == "train")
    shards = [one and shard | one if isinstance(one, dict) else one for one in changes.get("shards", [])]
    del good["settings_digest"], good["manifest_digest"]
    return json.dumps(good | changes | ({"shards": shards} if shards else {}))


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_a_strangers_manifest_is_refused_whatever_it_names(changes: dict[str, Any]) -> None:
    assert Manifest.from_json(written({}), "good").replays == 1
    with pytest.raises(
        SchemaError, match=r"^store x: manifest\.json must be the JSON that ingest writes, found damage"
    ) as error:
        Manifest.from_json(written(changes), "x")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"filters": ' * 100_000, "nested too deep"),
        ('{"replays": NaN}', "no number"),
        ('{"replays": 1, "replays": 1}', "twice"),
        ('{"replays": ' + "9" * 5000 + "}", "digits"),
        (" " * (2**26 + 1), "more than"),
        ("7", "int instead of an object"),
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_deep_or_ambiguous_or_long_is_refused(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(SchemaError, match=f"found damage .*{found}"):
        Manifest.load(tmp_path)


def test_no_flipped_byte_of_a_manifest_passes(generated_store: Path, tmp_path: Path) -> None:
    data = (generated_store / MANIFEST_NAME).read_bytes()
    path = tmp_path / MANIFEST_NAME
    passed = []
    for place in range(len(data)):
        for other in (data[place] ^ 1, data[place] ^ 32, data[place] ^ 0x80, 0x0D, 0x20):
            if other != data[place]:
                path.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
                try:
                    Manifest.load(tmp_path)
                except SchemaError:
                    continue
                passed.append((place, other))
    assert passed == []


def test_a_manifest_from_before_it_had_a_digest_of_its_own_is_read(tmp_path: Path) -> None:
    lines = [line for line in MANIFEST.to_json().splitlines() if "manifest_digest" not in line]
    assert len(lines) == len(MANIFEST.to_json().splitlines()) - 1
    assert Manifest.from_json("\n".join(lines), "store") == MANIFEST


def test_a_newer_manifest_is_refused_for_its_version_and_not_for_its_keys() -> None:
    with pytest.raises(SchemaError, match=r"schema version must be 2, .* found 3; a newer exphil"):
        Manifest.from_json(written({"schema_version": 3, "later": {"deep": []}}), "store")


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
    lines = [line for line in MANIFEST.to_json().splitlines() if not re.search("(settings|manifest)_digest", line)]
    assert Manifest.from_json("\n".join(lines), "store") == MANIFEST


def test_a_manifest_from_before_features_were_chosen_holds_all_and_its_settings_digest_stands() -> None:
    text = MANIFEST.to_json()
    assert '"settings_digest": "d45aaed930747391"' in text
    lines = [line for line in text.splitlines() if '"features"' not in line and '"manifest_digest"' not in line]
    assert len(lines) == len(text.splitlines()) - 2
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

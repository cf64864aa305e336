from dataclasses import replace
from pathlib import Path

import pytest

from dataset.errors import SchemaError
from dataset.store.manifest import MANIFEST_NAME, Manifest, ShardInfo, data_digest


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
    rules: dict[str, object] = {"schema_version": 1, "encoder_digest": "e", "codec_digest": "c", "rollback": "last"}
    rows = [("1", "train", "x"), ("2", "val", "y")]
    digest = data_digest(rows, **rules)  # type: ignore[arg-type]
    assert data_digest(rows[::-1], **rules) == digest  # type: ignore[arg-type]
    others = [
        data_digest(rows[:1], **rules),  # type: ignore[arg-type]
        data_digest([rows[0], ("2", "test", "y")], **rules),  # type: ignore[arg-type]
        data_digest([rows[0], ("2", "val", "z")], **rules),  # type: ignore[arg-type]
        *(data_digest(rows, **{**rules, name: "other"}) for name in rules),  # type: ignore[arg-type]
        data_digest(rows, left={"2"}, **rules),  # type: ignore[arg-type]
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

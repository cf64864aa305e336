import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from dataset.codecs.registry import get_codec
from dataset.errors import BusyError, ConfigError, SchemaError
from dataset.features.layout import encoder_digest, zeroed
from dataset.io.atomic import sha256_of, writing
from dataset.store import frame_table, reencode
from dataset.store.manifest import Manifest
from dataset.store.quality import QUALITY_SCHEMA
from dataset.store.reencode import encode_quality, encode_windows
from dataset.store.replay_table import REPLAYS_NAME, save_replays
from dataset.store.store import Store
from dataset.stream.window_shards import pack
from dataset.verify.verify import verify

FRAMES = "frames/frames-00000.parquet"


def _content(store: Path) -> dict[str, tuple[bytes, bytes]]:
    return {sample.id: pack(sample) for sample in Store(store).samples("all")}


def _files(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_encoding_again_with_nothing_changed_gives_the_same_samples_under_new_names(store: Path) -> None:
    before, content = Manifest.load(store), _content(store)
    report = encode_windows(store)
    after = Manifest.load(store)
    assert (report.frames, report.shards) == (before.frames, 4)
    assert (_content(store), after.digest) == (content, before.digest)
    assert {shard.path for shard in before.of_kind("windows")}.isdisjoint(
        shard.path for shard in after.of_kind("windows")
    )
    assert verify(store).ok


def test_a_store_of_another_encoder_and_codec_is_brought_up_to_this_one(store: Path) -> None:
    content = _content(store)
    old = Manifest.load(store)
    replace(old, encoder_digest="0" * 16, codec_digest="1" * 16, digest="2" * 32).save(store)
    with pytest.raises(SchemaError, match="exphil encode"):
        Store(store)
    encode_windows(store)
    assert _content(store) == content
    assert Manifest.load(store).digest == old.digest
    assert verify(store).ok


def test_the_shards_that_were_replaced_are_deleted_and_frames_stay(store: Path) -> None:
    before = _files(store)
    encode_windows(store)
    after = _files(store)
    listed = {shard.path for shard in Manifest.load(store).shards}
    assert {path for path in after if path.startswith(("frames/", "windows/"))} == listed
    assert {
        path: digest for path, digest in after.items() if path.startswith("frames/") or path == "replays.parquet"
    } == {path: digest for path, digest in before.items() if path.startswith("frames/") or path == "replays.parquet"}


def test_a_run_killed_before_the_manifest_leaves_the_store_as_it_was_and_the_next_one_does_it(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(store)

    def killed(self: Manifest, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            encode_windows(store)
    assert before.items() <= _files(store).items()
    assert verify(store).ok
    encode_windows(store)
    assert verify(store).ok


def test_a_run_killed_in_the_middle_leaves_no_half_written_shard(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _files(store)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(frame_table, "add_sample", killed)
    with pytest.raises(KeyboardInterrupt):
        encode_windows(store)
    assert _files(store) == before


def test_what_a_killed_run_left_is_deleted_and_nothing_else(store: Path) -> None:
    left = ["windows/train-000042.tar", "windows/val-000042.tar.7.tmp", "frames/frames-00042.parquet.7.tmp", "x.7.tmp"]
    own = ["windows/notes.txt", "notes.txt", "windows/train-000043.tar/notes.txt"]
    for name in (*left, *own):
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(b"")
    encode_quality(store)
    assert [name for name in left if (store / name).exists()] == []
    assert [name for name in own if not (store / name).exists()] == []


def test_a_new_shard_does_not_take_the_name_of_one_that_is_listed_and_missing(store: Path) -> None:
    last = max(shard.path for shard in Manifest.load(store).of_kind("windows", "train"))
    for path in store.glob(f"windows/*{last[-8:]}"):
        path.unlink()
    encode_windows(store)
    assert verify(store).ok


def test_a_manifest_that_names_files_outside_its_store_deletes_none_of_them(store: Path) -> None:
    victims = [store.parent / "victim.txt", store / "manifest.json", store / "frames" / "kept.txt"]
    victims[0].write_text("mine")
    victims[2].write_text("mine")
    shard = json.loads((store / "manifest.json").read_text())["shards"][-1]
    for path in ("../victim.txt", str(victims[0]), "windows/../../victim.txt", "manifest.json", "frames/kept.txt"):
        found = json.loads((store / "manifest.json").read_text())
        found["shards"][-1] = shard | {"path": path}
        found.pop("manifest_digest", None)
        (store / "manifest.json").write_text(json.dumps(found))
        with pytest.raises(SchemaError, match=r"found damage \(shard \d+, path "):
            encode_windows(store)
        assert all(victim.exists() for victim in victims)


@pytest.mark.parametrize("name", ["windows", "frames", ".lock"])
def test_a_store_whose_folders_or_lock_lead_elsewhere_is_not_written_to(store: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (store / ".lock").touch()
    (store / name).rename(elsewhere)
    if name == ".lock":
        elsewhere.write_text("mine")
    before = _files(tmp_path)
    (store / name).symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=f"{name} must be its own, found a link"):
        encode_windows(store)
    (store / name).unlink()
    assert _files(tmp_path) == before
    assert name != ".lock" or elsewhere.read_text() == "mine"


def test_a_damaged_frame_shard_is_refused_by_name_and_nothing_changes(store: Path) -> None:
    path = store / FRAMES
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = _files(store)
    with pytest.raises(SchemaError, match=rf"shard {FRAMES}: must be the file the manifest lists"):
        encode_windows(store)
    assert _files(store) == before


def test_a_store_changes_its_codec_and_changes_back(store: Path) -> None:
    before, content = Manifest.load(store), _content(store)
    assert encode_windows(store, "joint").codec == "joint"
    joint = Manifest.load(store)
    assert (joint.codec, joint.codec_digest) == ("joint", get_codec("joint").digest)
    assert joint.digest != before.digest
    assert all(sample.classes.shape[1] == 4 for sample in Store(store).samples("all"))
    assert verify(store).ok
    encode_windows(store, "axis17")
    assert (_content(store), Manifest.load(store).digest) == (content, before.digest)


def test_a_store_changes_its_features_keeps_them_and_changes_back(store: Path) -> None:
    before, content = Manifest.load(store), _content(store)
    whole = {sample.id: sample for sample in Store(store).samples("all")}
    report = encode_windows(store, features="base+hitlag+speeds")
    assert (report.features, report.encoder_digest) == ("base+speeds+hitlag", encoder_digest("base+speeds+hitlag"))
    less = Manifest.load(store)
    assert (less.features, less.encoder_digest) == (report.features, report.encoder_digest)
    assert less.digest != before.digest
    sizes = (sum(len(numbers) for _, numbers in one.values()) for one in (_content(store), content))
    assert next(sizes) < next(sizes)
    rows, index_rows = map(list, zeroed("base+speeds+hitlag"))
    for sample in Store(store).samples("all"):
        expected = whole[sample.id]
        assert expected.encoded.continuous[rows].any()
        expected.encoded.continuous[rows] = 0
        expected.encoded.indices[index_rows] = 0
        assert pack(sample) == pack(expected)
    assert verify(store).ok
    assert encode_windows(store, "joint").features == "base+speeds+hitlag"
    assert encode_windows(store, "axis17", features="all").features == "all"
    assert (_content(store), Manifest.load(store).digest) == (content, before.digest)


def test_an_unknown_feature_group_is_refused_and_nothing_changes(store: Path) -> None:
    before = _files(store)
    with pytest.raises(ConfigError, match="unknown shield; groups are misc, hurtbox, speeds, hitlag, items, nana"):
        encode_windows(store, features="all-shield")
    assert _files(store) == before


def test_an_unknown_codec_and_another_schema_are_refused(store: Path) -> None:
    with pytest.raises(ConfigError, match="codec 'axis18': unknown"):
        encode_windows(store, "axis18")
    replace(Manifest.load(store), schema_version=1).save(store)
    with pytest.raises(SchemaError, match="must be of version 2, found 1"):
        encode_windows(store)


def test_nothing_is_written_while_another_process_holds_the_store(store: Path) -> None:
    with writing(store), pytest.raises(BusyError, match="one process at a time"):
        encode_windows(store)


def test_a_folder_that_is_no_store_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="exphil ingest"):
        encode_windows(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_replays_that_pass_the_condition_are_encoded_and_all_stay_in_the_frame_table(store: Path) -> None:
    before, content = Manifest.load(store), _content(store)
    stages = {row["id"]: row["stage"] for row in Store(store).replays().collect().iter_rows(named=True)}
    kept = {replay for replay, stage in stages.items() if stage <= 2}
    assert 0 < len(kept) < 6
    report = encode_windows(store, where=" stage <= 2 ")
    assert (report.replays, report.left, report.frames) == (len(kept), 6 - len(kept), 2400 * len(kept))
    manifest = Manifest.load(store)
    assert (manifest.where, manifest.left_replays, manifest.left_frames) == (
        "stage <= 2",
        report.left,
        2400 * report.left,
    )
    assert (manifest.replays, manifest.frames) == (6, 14_400)
    assert Store(store).frames(["frame"]).collect().height == 14_400
    assert _content(store) == {replay: packed for replay, packed in content.items() if replay in kept}
    verdict = {check.name: check for check in verify(store).checks}
    assert [name for name, check in verdict.items() if not check.ok] == []
    assert f"keeps {report.left} replays out of windows" in verdict["filters"].detail
    assert manifest.digest != before.digest
    again = encode_windows(store)  # what the store has is kept
    assert (again.left, Manifest.load(store).digest) == (report.left, manifest.digest)
    assert encode_windows(store, where="").left == 0
    assert (_content(store), Manifest.load(store).digest) == (content, before.digest)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("vibes > 3", "unable to find column"),
        ("frames > 99999", "found none"),
        ("frames >= avg(frames) + 1", "found none"),
    ],
)
def test_a_condition_that_cannot_take_effect_leaves_the_store_as_it_is(store: Path, where: str, words: str) -> None:
    before = _files(store)
    with pytest.raises(ConfigError, match=words):
        encode_windows(store, where=where)
    assert _files(store) == before


def test_a_sample_that_the_condition_leaves_out_is_found(store: Path) -> None:
    encode_windows(store)
    replace(Manifest.load(store), where="stage <= 2", left_replays=0).save(store)
    failures = {check.name: check.detail for check in verify(store, quick=True).checks if not check.ok}
    assert "the table of replays says in none" in failures["windows"]
    assert "replays left out of windows" in failures["replays"]


def rows_of(store: Path) -> list[dict[str, Any]]:
    return Store(store).replays().collect().to_dicts()


def test_a_store_made_before_there_was_quality_gets_it_without_its_replays(store: Path) -> None:
    expected, manifest = rows_of(store), Manifest.load(store)
    old = pl.read_parquet(store / REPLAYS_NAME).drop(QUALITY_SCHEMA.names).with_columns(pl.col("damage_a") + 1)
    old.write_parquet(store / REPLAYS_NAME)
    replace(manifest, replays_sha256=sha256_of(store / REPLAYS_NAME)).save(store)
    report = encode_quality(store)
    assert (report.replays, report.left, report.frames) == (6, 0, 14_400)
    assert rows_of(store) == expected
    renewed = Manifest.load(store)
    assert (renewed.digest, renewed.shards) == (manifest.digest, manifest.shards)
    assert {check.name for check in verify(store).checks if not check.ok} <= {"leak"}


def test_rows_without_frames_are_left_as_they_are(store: Path) -> None:
    rows, manifest = rows_of(store), Manifest.load(store)
    rejected = dict.fromkeys(rows[0]) | {
        "id": "0" * 32,
        "source": "x",
        "status": "rejected",
        "reason": "teams",
    }
    save_replays(store, [*rows, rejected], manifest, manifest)
    assert encode_quality(store).left == 1
    assert [row for row in rows_of(store) if row["status"] == "rejected"] == [rejected]


def test_a_frame_shard_that_is_not_the_listed_one_is_refused_before_anything_is_written(store: Path) -> None:
    before = (store / REPLAYS_NAME).read_bytes()
    shard = store / "frames/frames-00001.parquet"
    pq.write_table(pq.read_table(shard), shard, compression="gzip")
    with pytest.raises(SchemaError, match=r"shard frames/frames-00001\.parquet: must be the file the manifest lists"):
        encode_quality(store)
    assert (store / REPLAYS_NAME).read_bytes() == before


def test_a_store_whose_condition_would_choose_other_replays_is_refused_and_left_alone(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortest = min(row["inputs_per_minute_a"] for row in rows_of(store))
    encode_windows(store, where=f"inputs_per_minute_a > {shortest}")
    before, manifest = (store / REPLAYS_NAME).read_bytes(), Manifest.load(store)
    assert encode_quality(store).replays == 6  # the same columns choose the same replays
    assert Manifest.load(store).left_replays == manifest.left_replays > 0
    monkeypatch.setattr(reencode, "quality_of", lambda columns, row: {"inputs_per_minute_a": shortest})
    with pytest.raises(ConfigError, match="found others that pass by the new columns; run 'exphil encode"):
        encode_quality(store)
    assert (store / REPLAYS_NAME).read_bytes() == before

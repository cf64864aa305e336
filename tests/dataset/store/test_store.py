import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import ENCODER_DIGEST
from dataset.store.manifest import Manifest
from dataset.store.reencode import encode_quality, encode_windows
from dataset.store.replay_table import PREVIOUS_REPLAYS_NAME, REPLAYS_NAME
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions


def test_a_store_hands_out_replays_frames_and_samples(generated_store: Path) -> None:
    store = Store(generated_store)
    assert store.replays().collect()["status"].to_list() == ["ok"] * 6
    frames = store.frames(["replay", "frame"]).collect()
    assert frames.height == 6 * 2400
    assert frames.group_by("replay").agg(pl.col("frame").diff().drop_nulls().eq(1).all())["frame"].all()
    ids = {split: {sample.id for sample in store.samples(split)} for split in ("train", "val", "test", "all")}  # type: ignore[arg-type]
    by_split = store.replays().group_by("split").agg("id").collect()
    assert {split: set(found) for split, found in by_split.iter_rows()} == {s: ids[s] for s in ("train", "val", "test")}
    assert ids["all"] == ids["train"] | ids["val"] | ids["test"]


def test_a_table_that_is_replaced_while_it_is_read_stays_the_one_that_was_opened(
    generated_store: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(generated_store, tmp_path / "store")
    replays = Store(folder).replays()
    (folder / REPLAYS_NAME).write_bytes(b"another table")
    assert replays.collect().height == 6


def test_samples_can_be_picked_by_id(generated_store: Path) -> None:
    store = Store(generated_store)
    wanted = sorted(store.replays().collect()["id"])[2:4]
    assert sorted(sample.id for sample in store.samples("all", ids=wanted)) == wanted


def test_columns_are_the_replays_own_rows(generated_store: Path) -> None:
    store = Store(generated_store)
    for row in store.replays().collect().iter_rows(named=True):
        columns = store.columns(row["id"])
        expected = store.frames(["replay", "a_x"]).filter(pl.col("replay") == row["id"]).collect()
        assert columns["a_x"].tolist() == expected["a_x"].to_list()
        assert (columns["frame"][0], len(columns["frame"])) == (-123, row["frames"])
        assert "a_nana_x" not in columns


def test_an_unknown_replay_is_a_wrong_argument(generated_store: Path) -> None:
    with pytest.raises(ConfigError, match=r"replay 'nobody': .* found none"):
        Store(generated_store).columns("nobody")


def _cut(data: bytes) -> bytes:
    return data[:-512]


def _cut_between_members(data: bytes) -> bytes:
    return data[: len(data) // 1024 * 512]


def _flip(data: bytes) -> bytes:
    return data[:600] + bytes([data[600] ^ 1]) + data[601:]


@pytest.mark.parametrize("damage", [_cut, _cut_between_members, _flip, lambda data: data + bytes(512)])
def test_a_damaged_shard_is_refused_by_name_before_its_first_sample(
    store: Path, damage: Callable[[bytes], bytes]
) -> None:
    opened = Store(store)
    (shard, *_) = opened.manifest.of_kind("windows", "train")
    (store / shard.path).write_bytes(damage((store / shard.path).read_bytes()))
    with pytest.raises(SchemaError, match=f"shard {shard.path}: .* copy the shard again"):
        next(opened.samples("train"))


def test_a_missing_shard_is_refused_by_name(store: Path) -> None:
    opened = Store(store)
    (shard,) = opened.manifest.of_kind("windows", "val")
    (store / shard.path).unlink()
    with pytest.raises(SchemaError, match=f"shard {shard.path}: .* found no such file"):
        next(opened.samples("val"))


def test_a_missing_frame_shard_is_refused_by_name(store: Path) -> None:
    opened = Store(store)
    id_ = opened.replays().collect()["id"][0]
    for shard in opened.manifest.of_kind("frames"):
        (store / shard.path).unlink()
    with pytest.raises(SchemaError, match=r"shard frames/\S+: .* found no such file; copy it again"):
        opened.frames()
    with pytest.raises(SchemaError, match=r"shard frames/\S+: .* found no such file; copy it again"):
        opened.columns(id_)


def test_a_store_of_windows_alone_can_be_trained_on_and_loses_none_of_them(store: Path, tmp_path: Path) -> None:
    whole = Manifest.load(store)
    replace(whole, shards=tuple(whole.of_kind("windows"))).save(store)
    shutil.rmtree(store / "frames")
    id_ = Store(store).replays().collect()["id"][0]
    generate_replay(tmp_path / "new.slp", seed=77, frames=2400)
    for ask in (
        lambda: Store(store).frames(),
        lambda: Store(store).columns(id_),
        lambda: encode_windows(store),
        lambda: encode_quality(store),
        lambda: ingest([tmp_path / "new.slp"], store, IngestOptions(workers=1)),
    ):
        with pytest.raises(SchemaError, match="found window shards only; take the whole store"):
            ask()
    assert len(list(Store(store).samples("all"))) == whole.replays


def test_files_that_the_manifest_does_not_list_do_not_exist(store: Path) -> None:
    (shard, *_) = Store(store).manifest.of_kind("windows", "train")
    (store / "windows" / "train-000099.tar").write_bytes((store / shard.path).read_bytes())
    (store / "frames" / "frames-00099.parquet").write_bytes(b"orphan")
    assert len(list(Store(store).samples("all"))) == 6
    assert Store(store).frames(["frame"]).collect().height == 6 * 2400


def test_a_table_of_replays_without_its_manifest_gives_way_to_the_previous_one(store: Path) -> None:
    before = Store(store).replays().collect()
    (store / REPLAYS_NAME).replace(store / PREVIOUS_REPLAYS_NAME)
    (store / REPLAYS_NAME).write_bytes(b"a newer table, whose manifest never came")
    assert Store(store).replays().collect().equals(before)
    (store / PREVIOUS_REPLAYS_NAME).unlink()
    with pytest.raises(SchemaError, match=r"replays\.parquet must be the file its manifest lists"):
        Store(store).replays()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "schema version must be 2, .* found 1; run 'exphil ingest --rebuild"),
        ({"features": "base"}, f"encoder must be .* found {ENCODER_DIGEST}; run 'exphil encode"),
        ({"encoder_digest": "old"}, "encoder must be .* found old; run 'exphil encode"),
        ({"codec_digest": "old"}, "codec 'axis17' must be .* found old; run 'exphil encode"),
        ({"codec": "axis9"}, "codec 'axis9' must be none"),
    ],
)
def test_a_store_of_another_version_is_refused_with_the_way_out(
    store: Path, change: dict[str, object], message: str
) -> None:
    replace(Manifest.load(store), **change).save(store)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=message):
        Store(store)


def test_windows_are_one_shuffled_epoch_of_a_split(generated_store: Path) -> None:
    batches = list(Store(generated_store).windows("all", window=30, batch_size=16))
    assert all(batch.continuous.shape[:2] == (16, 30) for batch in batches)
    predicted = sum(int(batch.mask.sum()) for batch in batches)
    assert predicted == 2 * 6 * (2400 - 1)  # of both players; a replay's last frame has no target


class TwoGames(Store):
    """Two games, of which the first was not let in but kept."""

    def __init__(self) -> None:
        self.manifest: Any = SimpleNamespace(kept_frames=2)

    def replays(self) -> pl.LazyFrame:
        return pl.LazyFrame({"id": ["r1", "r2"], "status": ["rejected", "ok"]})

    def frames(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        table = {"replay": ["r1", "r1", "r2", "r2", "r2"], "frame": [-123, -122, -123, -122, -121], "stage": [0] * 5}
        return pl.LazyFrame(table).select(columns or list(table))


@pytest.mark.parametrize("columns", [["frame"], ["replay", "frame"]])
def test_frames_of_games_that_were_not_let_in_do_not_count(columns: list[str]) -> None:
    found = TwoGames().ok_frames(columns).collect()
    assert found.columns == columns
    assert found["frame"].to_list() == [-123, -122, -121]

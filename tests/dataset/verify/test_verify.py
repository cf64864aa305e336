import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import SchemaError
from dataset.features.layout import encoder_digest
from dataset.store.manifest import Manifest
from dataset.stream.window_shards import Sample, read_shard
from dataset.verify.tables import verdict_json
from dataset.verify.verify import verify
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.dataset.builders import shard_of

FRAMES, OTHER_FRAMES = "frames/frames-00000.parquet", "frames/frames-00001.parquet"
TRAIN, OTHER_TRAIN, VAL = "windows/train-000000.tar", "windows/train-000001.tar", "windows/val-000000.tar"


# fmt: off
CHECKS = (
    "versions", "files", "replays", "splits", "filters", "rows", "order", "ids", "sticks", "triggers", "recorded controllers",
    "finite", "variance", "windows", "codec", "leak",
)
# fmt: on


def _failures(store: Path, *, quick: bool = False) -> dict[str, str]:
    """Detail of every check that fails."""
    return {check.name: check.detail for check in verify(store, quick=quick).checks if not check.ok}


def _detail(store: Path, name: str) -> str:
    return next(check.detail for check in verify(store).checks if check.name == name)


def _flip_byte(path: Path, position: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * position)] ^= 0xFF
    path.write_bytes(data)


def _relist(store: Path) -> None:
    """Write the files as they are into the manifest, as a faulty writer would have done."""
    manifest = Manifest.load(store)

    def listed(path: str) -> dict[str, object]:
        data = (store / path).read_bytes()
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    shards = tuple(replace(shard, **listed(shard.path)) for shard in manifest.shards)
    table = hashlib.sha256((store / "replays.parquet").read_bytes()).hexdigest()
    replace(manifest, shards=shards, replays_sha256=table).save(store)


def _change_samples(store: Path, path: str, change: Callable[[Sample], Sample | None]) -> None:
    """Rewrite a window shard sample by sample (``None`` drops it) and list it."""
    samples = [change(sample) for sample in read_shard((store / path).read_bytes())]
    (store / path).write_bytes(shard_of(sample for sample in samples if sample is not None))
    _relist(store)


def _change_frames(store: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change columns of a frame shard in place and list it."""
    table = pq.read_table(store / FRAMES)
    columns = {
        name: table[name].to_numpy().copy() for name in ("frame", "a_action_state", "a_main_x", "a_trigger", "a_x")
    }
    change(columns)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    pq.write_table(table, store / FRAMES, row_group_size=len(table))
    _relist(store)


def _change_replays(store: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = store / "replays.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    _relist(store)


def test_a_store_as_ingest_wrote_it_passes_every_check(generated_store: Path) -> None:
    verdict = verify(generated_store)
    assert {check.name: check.ok for check in verdict.checks} == dict.fromkeys(CHECKS, True)
    assert verdict.ok
    assert verdict.leak.onsets >= 200


@pytest.mark.parametrize("quick", [True, False])
def test_a_store_without_frames_claims_nothing_about_them(tmp_path: Path, quick: bool) -> None:
    (tmp_path / "junk.slp").write_bytes(b"junk")
    ingest([tmp_path / "junk.slp"], tmp_path / "my store", IngestOptions(workers=1))
    verdict = verify(tmp_path / "my store", quick=quick)
    assert [check.name for check in verdict.checks] == ["versions", "files", "replays", "splits", "filters", "frames"]
    assert [check.name for check in verdict.checks if not check.ok] == ["frames"]
    assert f"'exphil ingest SOURCE --store \"{tmp_path}/my store\"'" in verdict.checks[-1].detail
    assert verdict.leak.status == "insufficient"


def test_the_store_of_these_tests_has_two_shards_of_each_kind(generated_store: Path) -> None:
    paths = {shard.path for shard in Manifest.load(generated_store).shards}
    assert paths == {FRAMES, OTHER_FRAMES, TRAIN, OTHER_TRAIN, VAL, "windows/test-000001.tar"}


@pytest.mark.parametrize(("path", "also"), [(FRAMES, set()), (TRAIN, {"windows"})])
def test_a_flipped_byte_in_a_shard_is_found_and_named(store: Path, path: str, also: set[str]) -> None:
    _flip_byte(store / path)
    failures = _failures(store)
    assert failures.keys() == {"files"} | also
    assert failures["files"] == f"{path} has another SHA-256 than the manifest lists"


def test_a_flipped_byte_in_the_table_of_replays_is_found_and_named(store: Path) -> None:
    _flip_byte(store / "replays.parquet")
    with pytest.raises(SchemaError, match=r"replays\.parquet must be the file its manifest lists"):
        verify(store)


def test_a_flipped_byte_in_the_manifest_is_found_and_named(store: Path) -> None:
    _flip_byte(store / "manifest.json", position=0.0)
    with pytest.raises(SchemaError, match=r"manifest\.json"):
        verify(store)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"digest": "0" * 32}, "replays"),
        ({"replays": 7}, "replays"),
        ({"frames": 14_399}, "replays"),
        ({"rollback": "first"}, "replays"),
        ({"split_seed": 1}, "splits"),
        ({"encoder_digest": "0" * 16}, "versions"),
        ({"features": "all-nana"}, "versions"),
        ({"features": "all-speeds", "encoder_digest": encoder_digest("all-speeds")}, "windows"),
        ({"features": "all-speeds", "encoder_digest": encoder_digest("all-speeds")}, "replays"),
        ({"codec_digest": "0" * 16}, "versions"),
        ({"schema_version": 1}, "versions"),
        ({"codec": "axis18"}, "versions"),
    ],
)
def test_a_changed_line_of_the_manifest_is_found(store: Path, change: dict[str, object], check: str) -> None:
    replace(Manifest.load(store), **change).save(store)
    assert check in _failures(store)


@pytest.mark.parametrize("path", [FRAMES, VAL])
@pytest.mark.parametrize("quick", [True, False])
def test_a_truncated_or_missing_shard_is_found_even_by_a_quick_look(store: Path, path: str, quick: bool) -> None:
    data = (store / path).read_bytes()
    (store / path).write_bytes(data[:-512])
    assert f"{path} has {len(data) - 512:,} bytes, not {len(data):,}" in _failures(store, quick=quick)["files"]
    (store / path).unlink()
    assert f"{path} is missing" in _failures(store, quick=quick)["files"]


def test_a_dropped_row_group_is_found_and_named(store: Path) -> None:
    table = pq.read_table(store / FRAMES)
    rows = len(table) * 2 // 3
    pq.write_table(table.slice(0, rows), store / FRAMES, row_group_size=rows)
    _relist(store)
    failures = _failures(store)
    assert failures.keys() == {"rows"}
    assert f"{FRAMES} has {rows} rows, not {len(table)}" in failures["rows"]


@pytest.mark.parametrize(("one", "other"), [(FRAMES, OTHER_FRAMES), (TRAIN, VAL)])
@pytest.mark.parametrize("is_relisted", [False, True])
def test_two_exchanged_shards_are_found(store: Path, one: str, other: str, is_relisted: bool) -> None:
    (store / one).rename(store / "aside")
    (store / other).rename(store / one)
    (store / "aside").rename(store / other)
    if is_relisted:
        _relist(store)
    failures = _failures(store)
    expected = "files" if not is_relisted else "rows" if one == FRAMES else "windows"
    assert expected in failures
    assert one in failures[expected] or "replay" in failures[expected]


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_target_shifted_by_one_frame_is_a_leak(store: Path, shift: int) -> None:
    def shifted(sample: Sample) -> Sample:
        return replace(sample, classes=np.roll(sample.classes, shift, axis=-1))

    for shard in Manifest.load(store).of_kind("windows"):
        _change_samples(store, shard.path, shifted)
    assert _failures(store, quick=True).keys() == {"leak"}
    assert "states and targets are out of step" in _failures(store)["leak"]
    assert "classes differ from its rows encoded again" in _failures(store)["windows"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda sample: replace(sample, stage=5 - sample.stage), "header"),
        (lambda sample: replace(sample, frames=sample.frames + 1), "frames"),
        (
            lambda sample: replace(sample, encoded=replace(sample.encoded, indices=sample.encoded.indices[:, ::-1])),
            "indices",
        ),
        (
            lambda sample: replace(sample, encoded=replace(sample.encoded, continuous=-sample.encoded.continuous)),
            "features",
        ),
    ],
)
def test_windows_that_are_not_their_rows_are_named_by_part(
    store: Path, change: Callable[[Sample], Sample], part: str
) -> None:
    _change_samples(store, VAL, change)
    assert f"first: sample {_only_id(store, VAL)}: {part} differ from its rows" in _failures(store)["windows"]


def _only_id(store: Path, path: str) -> str:
    return next(read_shard((store / path).read_bytes())).id


def test_a_lost_sample_is_found_and_its_shard_named(store: Path) -> None:
    _change_samples(store, VAL, lambda sample: None)
    assert f"{VAL} holds 0 samples of 0 frames, the manifest says 1 of 2400" in _failures(store)["windows"]


def test_a_lost_shard_is_found_and_its_replays_named(store: Path) -> None:
    lost = _only_id(store, VAL)
    (store / VAL).unlink()
    assert f"replay {lost} is in no window shard" in _failures(store)["windows"]


def test_a_sample_in_two_shards_is_found(store: Path) -> None:
    (store / VAL).write_bytes((store / OTHER_TRAIN).read_bytes())
    _relist(store)
    assert "is in two shards" in _failures(store, quick=True)["windows"]


def test_a_shard_listed_under_another_split_is_found_and_named(store: Path) -> None:
    manifest = Manifest.load(store)
    other, shards = {"val": "test", "test": "val"}, []
    for shard in manifest.shards:
        split = other.get(str(shard.split), shard.split)
        shards.append(replace(shard, split=split, path=shard.path.replace(str(shard.split), str(split))))
        (store / shard.path).rename(store / f"{shards[-1].path}.moved")
    for shard in shards:
        (store / f"{shard.path}.moved").rename(store / shard.path)
    replace(manifest, shards=tuple(shards)).save(store)
    failures = _failures(store, quick=True)
    assert failures.keys() == {"windows"}
    assert "is in a test shard, the table of replays says val" in failures["windows"]


def test_rows_marked_with_another_replay_are_found(store: Path) -> None:
    table = pq.read_table(store / FRAMES)
    ids = ["someone-else", *table["replay"].to_pylist()[1:]]
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(ids)), store / FRAMES, row_group_size=len(table))
    _relist(store)
    failures = _failures(store)
    assert failures.keys() == {"rows"}
    assert "someone-else" in failures["rows"]


def test_a_null_in_place_of_a_zero_is_found_and_its_column_named(store: Path) -> None:
    table = pq.read_table(store / FRAMES)
    place, percent = table.schema.get_field_index("a_percent"), table["a_percent"].to_numpy()
    nulls = pa.array(percent, mask=percent == 0)
    pq.write_table(
        table.set_column(place, pa.field("a_percent", pa.float32()), nulls), store / FRAMES, row_group_size=len(table)
    )
    _relist(store)
    failures = _failures(store)
    assert failures.keys() == {"rows"}
    assert "a_percent is null where it has a value" in failures["rows"]


@pytest.mark.parametrize("name", ["stocks_a", "damage_b", "frame_gaps", "quality_a", "character_b"])
def test_a_value_of_the_table_of_replays_that_its_frames_contradict_is_found_and_named(store: Path, name: str) -> None:
    _change_replays(store, lambda replays: replays.with_columns(pl.col(name) + 1))
    assert f"{name} is " in _failures(store)["rows"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop_columns(["a_instance"]), "are not those that were ingested"),
        (lambda table: table.append_column("a_luck", table["a_percent"]), "has other columns than the frame table"),
        (lambda table: table.select(table.column_names[::-1]), "has other columns than the frame table"),
    ],
    ids=["one lost", "one more", "in another order"],
)
def test_a_frame_shard_with_other_columns_is_found(
    store: Path, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    table = pq.read_table(store / FRAMES)
    pq.write_table(change(table), store / FRAMES, row_group_size=len(table))
    _relist(store)
    failures = _failures(store)
    assert failures.keys() == {"rows"}
    assert words in failures["rows"]


def test_a_class_the_codec_lacks_is_found(store: Path) -> None:
    _change_samples(store, VAL, lambda sample: replace(sample, classes=sample.classes + np.uint8(200)))
    assert "holds classes that codec 'axis17' does not have" in _failures(store, quick=True)["windows"]


def test_a_feature_that_is_not_finite_is_found(store: Path) -> None:
    def spoilt(sample: Sample) -> Sample:
        continuous = np.full_like(sample.encoded.continuous, np.nan)
        return replace(sample, encoded=replace(sample.encoded, continuous=continuous))

    _change_samples(store, VAL, spoilt)
    assert "holds a feature that is not finite" in _failures(store, quick=True)["windows"]


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("a_action_state", 2000, "ids"),
        ("a_main_x", 5, "sticks"),
        ("a_main_x", -81, "sticks"),
        ("a_trigger", 20, "triggers"),
    ],
)
def test_a_corrupt_value_is_found_and_named(store: Path, column: str, value: int, check: str) -> None:
    def corrupt(columns: dict[str, np.ndarray]) -> None:
        columns[column][:200] = value

    _change_frames(store, corrupt)
    failures = _failures(store)
    assert {"rows", check} <= failures.keys()
    assert str(value) in failures[check]


def test_computer_players_sticks_are_reported_and_not_held_to_the_lattice(store: Path) -> None:
    def corrupt(columns: dict[str, np.ndarray]) -> None:
        columns["a_main_x"][:3] = 5

    _change_frames(store, corrupt)
    _change_replays(store, lambda replays: replays.with_columns(type_a=pl.lit("cpu")))
    assert "sticks" not in _failures(store)
    assert "computer players' sticks stand off it in 3 frames" in _detail(store, "sticks")


def test_frames_out_of_order_are_found(store: Path) -> None:
    def corrupt(columns: dict[str, np.ndarray]) -> None:
        columns["frame"][[100, 101]] = columns["frame"][[101, 100]]

    _change_frames(store, corrupt)
    assert "is followed by" in _failures(store)["order"]


def test_what_is_not_finite_is_reported_by_column_and_not_failed(store: Path) -> None:
    def corrupt(columns: dict[str, np.ndarray]) -> None:
        columns["a_x"][:3] = (np.nan, np.inf, -np.inf)

    _change_frames(store, corrupt)
    assert "finite" not in _failures(store)
    assert _detail(store, "finite") == "recorded as not finite, encoded as 0: a_x 3"


def test_rows_at_another_place_than_the_table_says_are_found(store: Path) -> None:
    first = pl.col("row_start") == 0
    _change_replays(
        store, lambda replays: replays.with_columns(row_start=pl.when(first).then(1).otherwise("row_start"))
    )
    assert "rows" in _failures(store)


def test_a_replay_moved_to_another_split_is_found(store: Path) -> None:
    moved = pl.when(pl.col("split") == "val").then(pl.lit("test")).otherwise("split")
    _change_replays(store, lambda replays: replays.with_columns(split=moved))
    assert "the rule says val" in _failures(store)["splits"]


def test_a_match_in_two_splits_is_found_and_named(store: Path) -> None:
    _change_replays(store, lambda replays: replays.with_columns(match_id=pl.lit("one-match")))
    assert "match one-match is in 3 splits" in _failures(store)["splits"]


def test_a_quick_look_still_hashes_what_training_reads(store: Path) -> None:
    _flip_byte(store / TRAIN)
    assert TRAIN in _failures(store, quick=True)["files"]


def test_a_quick_look_says_what_it_skips(store: Path) -> None:
    _flip_byte(store / FRAMES)
    verdict = verify(store, quick=True)
    assert verdict.ok
    details = {check.name: check.detail for check in verdict.checks}
    assert "SHA-256 of frame shards skipped" in details["files"]
    assert "encoding again skipped" in details["windows"]
    assert {"rows", "order", "ids"}.isdisjoint(details)


def test_columns_and_features_that_never_vary_are_listed(generated_store: Path) -> None:
    assert "resimulated" in _detail(generated_store, "variance")
    assert "a_nana_* (19)" in _detail(generated_store, "variance")
    assert "a_nana_* (9)" in _detail(generated_store, "windows")
    assert "a_x" not in _detail(generated_store, "variance").split(", ")


def test_a_store_too_small_to_tell_is_in_order_and_says_so(tmp_path: Path) -> None:
    generate_replay(tmp_path / "short.slp", seed=0, frames=900)
    ingest([tmp_path], tmp_path / "store", IngestOptions(workers=1, min_frames=1))
    verdict = verify(tmp_path / "store")
    assert verdict.ok
    assert [check.name for check in verdict.checks if check.is_warning] == ["leak"]
    assert "too few to tell, needs 200: ingest more replays" in _detail(tmp_path / "store", "leak")
    warned = [check["name"] for check in verdict_json(verdict)["checks"] if check["warning"]]
    assert (warned, verdict_json(verdict)["leak"]["status"]) == (["leak"], "insufficient")


def test_no_store_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="exphil ingest"):
        verify(tmp_path)


def test_a_store_of_real_replays_passes_every_check(modern_replays: list[Path], tmp_path: Path) -> None:
    ingest(modern_replays, tmp_path / "store", IngestOptions(workers=1))
    verdict = verify(tmp_path / "store")
    assert {check.name: check.detail for check in verdict.checks if not check.ok} == {}
    assert 0.5 < verdict.leak.own_row < 0.8
    assert verdict.leak.row_before < 0.01

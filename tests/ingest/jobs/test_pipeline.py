import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from dataset.codecs.registry import get_codec
from dataset.errors import BusyError, ConfigError, SchemaError
from dataset.features.layout import ALL
from dataset.slippi import slp
from dataset.store.frame_table import sample_of
from dataset.store.manifest import Manifest
from dataset.store.quality import QUALITY_SCHEMA, quality_of
from dataset.store.reencode import encode_windows
from dataset.store.store import Store
from dataset.stream.window_shards import pack
from dataset.verify.verify import verify
from ingest.jobs import job, pipeline
from ingest.jobs.job import content_id
from ingest.jobs.pipeline import IngestReport, Progress, ingest
from ingest.options import IngestOptions
from ingest.replay.parse import parse_columns
from ingest.sources import find, sevenzip
from ingest.sources import reader as archives
from tests.conftest import replay_archive
from tests.ingest.recordings import record

MakeDuel = Callable[..., Path]


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


def counts(report: IngestReport) -> tuple[int, ...]:
    """Found, new, ingested, rejected, failed, duplicate."""
    return (
        report.replays_found,
        report.replays_new,
        report.replays_ingested,
        report.replays_rejected,
        report.replays_failed,
        report.replays_duplicate,
    )


def files_of(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


@pytest.fixture
def one_replay_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MIN_JOB_BYTES", 1)
    monkeypatch.setattr(pipeline, "MAX_JOB_BYTES", 1)


def test_a_store_holds_what_its_replays_parse_to(duels: Path, tmp_path: Path) -> None:
    report = ingest([duels], tmp_path, options())
    store = Store(tmp_path)
    assert counts(report) == (4, 4, 4, 0, 0, 0)
    assert (report.frames, report.store_frames, store.manifest.frames) == (2400, 2400, 2400)
    samples = {sample.id: sample for sample in store.samples("all")}
    assert len(samples) == 4
    for path in duels.iterdir():
        id_, parsed = content_id(path.read_bytes()), parse_columns(path, rollback="last")
        columns = store.columns(id_)
        assert columns.keys() == parsed.columns.keys()
        for name, column in parsed.columns.items():
            np.testing.assert_array_equal(columns[name], column, err_msg=name)
        expected = sample_of({"id": id_} | parsed.played, parsed.columns, get_codec("axis17"), ALL)
        np.testing.assert_array_equal(samples[id_].encoded.continuous, expected.encoded.continuous)
        np.testing.assert_array_equal(samples[id_].classes, expected.classes)


def test_a_row_says_what_the_replay_is(make_duel: MakeDuel, tmp_path: Path) -> None:
    path = make_duel("in/duel.slp", 5, characters=("mewtwo", "marth"), stage="battlefield", ports=(4, 2))
    ingest([path], tmp_path / "store", options(keep_names=True))
    (row,) = Store(tmp_path / "store").replays().collect().to_dicts()
    digest, detail = row.pop("rows_digest"), row.pop("detail")
    assert (len(digest), detail) == (32, None)
    quality = {name: row.pop(name) for name in QUALITY_SCHEMA.names}
    assert (quality["ending"], quality["is_handwarmer"], quality["sds_a"]) == ("time", False, 0)
    assert 0 < quality["quality_a"] <= 1
    assert row == {
        "id": content_id(path.read_bytes()),
        **{"status": "ok", "reason": None, "source": str(path), "member": None},
        **{"size": path.stat().st_size, "mtime": path.stat().st_mtime_ns, "archive_size": None, "crc": None},
        **{"version": "3.18.0", "stage": 4, "port_a": 2, "port_b": 4, "character_a": 18, "character_b": 16},
        **{"type_a": "human", "type_b": "human", "cpu_level_a": None, "cpu_level_b": None},
        **{"name_hash_a": "Duelist 2", "name_hash_b": "Duelist 4", "code_hash_a": "DUEL#2", "code_hash_b": "DUEL#4"},
        **{"match_id": "generated-5", "game_number": 1, "tiebreaker": 0, "random_seed": 5},
        **{"frames": 600, "frames_resimulated": 0, "frame_gaps": 0, "non_finite": None, "off_lattice": 0},
        "repaired": None,
        **{"winner": row["winner"], "stocks_a": 4, "stocks_b": 4, "seconds": 10.0},
        **{"damage_a": row["damage_a"], "damage_b": row["damage_b"]},
        **{"split": row["split"], "shard": "frames/frames-00000.parquet", "row_start": 0},
        **{
            "started_at": row["started_at"],
            "end_method": "time",
            "quitter": None,
            "ranks": None,
            "is_pal": False,
            "is_frozen_stadium": True,
        },
    }


def test_names_are_hashes_that_differ_from_store_to_store(duels: Path, tmp_path: Path) -> None:
    named = ("source", "name_hash_a", "code_hash_b")
    rows = []
    for name in ("one", "two"):
        ingest([duels], tmp_path / name, options())
        rows.append(Store(tmp_path / name).replays().collect().select(named))
        assert (tmp_path / name / "salt").stat().st_mode & 0o777 == 0o600
        assert not any(b"duel-0" in data or b"DUEL#" in data for data in files_of(tmp_path / name).values())
    assert rows[0]["code_hash_b"].n_unique() == 1
    assert rows[0]["source"].n_unique() == 4
    assert not set(rows[0]["code_hash_b"]) & set(rows[1]["code_hash_b"])
    assert Manifest.load(tmp_path / "one").digest == Manifest.load(tmp_path / "two").digest


def test_a_second_run_adds_nothing_and_changes_no_file(duels: Path, tmp_path: Path) -> None:
    first = ingest([duels], tmp_path, options())
    before = files_of(tmp_path)
    second = ingest([duels], tmp_path, options())
    assert counts(second) == (4, 0, 0, 0, 0, 0)
    assert second.digest == first.digest
    assert files_of(tmp_path) == before


def test_an_archive_is_known_again_without_reading_its_members(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "duels.zip", "w") as archive:
        for path in sorted(duels.iterdir()):
            archive.write(path, path.name)
    first = ingest([tmp_path / "duels.zip"], tmp_path / "store", options())
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    second = ingest([tmp_path / "duels.zip"], tmp_path / "store", options())
    assert (counts(first), counts(second)) == ((4, 4, 4, 0, 0, 0), (4, 0, 0, 0, 0, 0))


def test_new_replays_append_shards_and_leave_the_old_alone(make_duel: MakeDuel, tmp_path: Path) -> None:
    make_duel("in/a.slp", 1)
    ingest([tmp_path / "in"], tmp_path / "store", options())
    before = {shard.path: shard for shard in Manifest.load(tmp_path / "store").shards}
    make_duel("in/b.slp", 2)
    report = ingest([tmp_path / "in"], tmp_path / "store", options())
    after = {shard.path: shard for shard in Manifest.load(tmp_path / "store").shards}
    assert counts(report) == (2, 1, 1, 0, 0, 0)
    assert before.items() < after.items()
    assert "frames/frames-00001.parquet" in after
    both = ingest([tmp_path / "in"], tmp_path / "together", options())
    assert both.digest == report.digest


def test_a_touched_file_is_hashed_known_again_and_no_news(make_duel: MakeDuel, tmp_path: Path) -> None:
    path = make_duel("in/a.slp", 1)
    first = ingest([path], tmp_path / "store", options())
    os.utime(path, (1, 1))
    told: list[Progress] = []
    touched = ingest([path], tmp_path / "store", options(), on_progress=told.append)
    again = ingest([path], tmp_path / "store", options())
    assert counts(touched) == (1, 0, 0, 0, 0, 0)
    assert (told[-1].done, told[-1].total) == (1, 1)
    assert counts(again) == (1, 0, 0, 0, 0, 0)
    assert first.digest == touched.digest
    assert Store(tmp_path / "store").replays().collect()["mtime"].to_list() == [10**9]


def test_a_replay_that_moved_is_known_by_its_content_and_not_parsed_again(
    make_duel: MakeDuel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_duel("in/a.slp", 1)
    first = ingest([tmp_path / "in"], tmp_path / "store", options())
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "b.slp")
    monkeypatch.setattr(job, "parse_columns", None)
    moved = ingest([tmp_path / "elsewhere"], tmp_path / "store", options())
    again = ingest([tmp_path / "elsewhere"], tmp_path / "store", options())
    assert (counts(moved), moved.duplicates) == ((1, 1, 0, 0, 0, 1), {"same_content": 1})
    assert (counts(again), moved.digest) == ((1, 0, 0, 0, 0, 0), first.digest)


def test_a_file_that_was_damaged_and_is_whole_now_is_taken_in(make_duel: MakeDuel, tmp_path: Path) -> None:
    path = make_duel("in/a.slp", 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:900])
    assert ingest([path], tmp_path / "store", options()).failures == {"truncated": 1}
    path.write_bytes(whole)
    assert counts(ingest([path], tmp_path / "store", options())) == (1, 1, 1, 0, 0, 0)
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"]


def test_a_file_that_was_whole_then_damaged_and_is_whole_again_leaves_no_failure_behind(
    make_duel: MakeDuel, tmp_path: Path
) -> None:
    path = make_duel("in/a.slp", 1)
    whole = path.read_bytes()
    for number, (data, expected) in enumerate(((whole, 1), (whole[:900], 2), (whole, 1))):
        path.write_bytes(data)
        os.utime(path, (number, number))
        ingest([path], tmp_path / "store", options())
        assert Store(tmp_path / "store").replays().collect().height == expected


def test_of_members_that_share_a_name_one_that_changes_does_not_forget_the_other(duels: Path, tmp_path: Path) -> None:
    first, second, third = [path.read_bytes() for path in sorted(duels.iterdir())[:3]]
    ingest([duels / "duel-0.slp"], tmp_path / "store", options())
    for damaged, expected in ((second[:900], (2, 2, 0, 0, 1, 1)), (third[:900], (2, 1, 0, 0, 1, 0))):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.slp", first)
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("a.slp", damaged)
        assert counts(ingest([tmp_path / "a.zip"], tmp_path / "store", options())) == expected
        assert counts(ingest([tmp_path / "a.zip"], tmp_path / "store", options())) == (2, 0, 0, 0, 0, 0)


def test_an_archive_that_was_cut_and_is_whole_now_leaves_no_failure_behind(duels: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(duels / "duel-0.slp", "0.slp")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-100])
    assert ingest([archive], tmp_path / "store", options()).failures == {"damaged_archive": 1}
    archive.write_bytes(whole)
    ingest([archive], tmp_path / "store", options())
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"]


def test_copies_and_both_clients_uploads_are_one_replay(make_duel: MakeDuel, tmp_path: Path) -> None:
    path = make_duel("in/a.slp", 1)
    shutil.copyfile(path, tmp_path / "in" / "copy.slp")
    make_duel("in/other-client.slp", 1, frames=601)  # the same match and game, other bytes
    report = ingest([tmp_path / "in"], tmp_path / "store", options())
    assert counts(report) == (3, 3, 1, 0, 0, 2)
    assert report.duplicates == {"same_content": 1, "same_game": 1}
    later = make_duel("late/third-client.slp", 1, frames=599)
    assert ingest([later], tmp_path / "store", options()).duplicates == {"same_game": 1}


def test_order_workers_archives_and_salt_do_not_change_the_data(
    duels: Path, make_duel: MakeDuel, tmp_path: Path
) -> None:
    shutil.copytree(duels, tmp_path / "in")
    make_duel("in/z.slp", 1, frames=601)  # another upload of duel 1
    loose = sorted((tmp_path / "in").iterdir())
    for name, order in (("forward.zip", loose), ("backward.zip", loose[::-1])):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, path in enumerate(order):
                archive.write(path, f"{number}.slp")
    first = ingest([tmp_path / "in"], tmp_path / "store-0", options())
    before = os.times()
    second = ingest(loose[::-1], tmp_path / "store-1", options(workers=2))
    of_workers = os.times().children_user - before.children_user
    assert second.cpu_seconds > of_workers > 2 * first.cpu_seconds  # they import all anew
    reports = [
        first,
        second,
        ingest([tmp_path / "forward.zip"], tmp_path / "store-2", options()),
        ingest([tmp_path / "backward.zip"], tmp_path / "store-3", options()),
    ]
    assert len({report.digest for report in reports}) == 1
    assert {counts(report) for report in reports} == {(5, 5, 4, 0, 0, 1)}
    shards = [Manifest.load(report.store).shards for report in reports]
    assert shards[0] == shards[1]  # the number of workers does not even change a byte


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.zst"])
def test_a_compressed_tar_is_unpacked_twice_once_to_list_it_and_once_to_parse(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    archive = tmp_path / f"duels{suffix}"
    bare = tmp_path / "bare"
    with tarfile.open(bare, "w" if suffix == ".tar.zst" else f"w:{suffix[5:]}") as tar:  # type: ignore[call-overload]
        for path in sorted(duels.iterdir()):
            tar.add(path, path.name)
    data = bare.read_bytes()
    archive.write_bytes(zstandard.ZstdCompressor().compress(data) if suffix == ".tar.zst" else data)
    opened: list[str] = []
    real = archives.open_tar

    def count(path: Path) -> AbstractContextManager[tarfile.TarFile]:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(find, "open_tar", count)
    monkeypatch.setattr(archives, "open_tar", count)
    report = ingest([archive], tmp_path / "store", options())
    assert opened == [archive.name] * 2
    assert report.digest == ingest([duels], tmp_path / "loose", options()).digest


@pytest.mark.parametrize("room", [2**28, 300_000, 0])
@pytest.mark.parametrize(("suffix", "parts"), [(".tar.xz", 1), (".7z", 1), (".7z", 2)])
def test_copies_that_lie_far_apart_in_a_stream_are_held_and_not_gone_back_for(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, parts: int, room: int
) -> None:
    archive = tmp_path / f"duels{suffix}"
    names = [(f"{turn}/{path.name}", path) for turn in range(2) for path in sorted(duels.iterdir())]
    passes: list[object] = []

    def count(module: object, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **named: (passes.append(given), real(*given, **named))[1])

    if suffix == ".7z":
        py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
        with py7zr.SevenZipFile(archive, "w") as packed:
            for name, path in names:
                packed.write(path, name)
        count(py7zr.SevenZipFile, "extract")
        unpacked = sum(path.stat().st_size for _, path in names) // parts
        monkeypatch.setattr(sevenzip, "UNPACKED_BYTES", unpacked)
    else:
        with tarfile.open(archive, "w:xz") as tar:
            for name, path in names:
                tar.add(path, name)
        count(find, "open_tar")
        count(archives, "open_tar")
    monkeypatch.setattr(archives, "HELD_BYTES", room)
    report = ingest([archive], tmp_path / "store", options())
    assert (counts(report), report.duplicates) == ((8, 8, 4, 0, 0, 4), {"same_content": 4})
    is_all_at_hand = room == 2**28 or (suffix == ".7z" and parts == 1)
    assert len(passes) == 2 * parts if is_all_at_hand else len(passes) > 2 * parts
    assert report.digest == ingest([duels], tmp_path / "loose", options()).digest


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz"])
def test_a_link_in_a_tar_is_a_duplicate_and_costs_no_other_pass(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    archive = tmp_path / f"duels{suffix}"
    with tarfile.open(archive, f"w:{suffix[5:]}") as tar:
        for path in sorted(duels.iterdir()):
            tar.add(path, path.name)
            link = tarfile.TarInfo(f"again/{path.name}")
            link.type, link.linkname = tarfile.LNKTYPE, path.name
            tar.addfile(link)
    opened: list[str] = []
    real = archives.open_tar

    def count(path: Path) -> AbstractContextManager[tarfile.TarFile]:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(find, "open_tar", count)
    monkeypatch.setattr(archives, "open_tar", count)
    report = ingest([archive], tmp_path / "store", options())
    assert (counts(report), report.duplicates) == ((8, 8, 4, 0, 0, 4), {"same_content": 4})
    if suffix == ".tar.xz":
        assert len(opened) == 2
    assert counts(ingest([archive], tmp_path / "store", options())) == (8, 0, 0, 0, 0, 0)


@pytest.mark.usefixtures("one_replay_a_job")
def test_every_job_is_committed_and_reported_at_once(duels: Path, tmp_path: Path) -> None:
    seen: list[tuple[Progress, int]] = []
    ingest([duels], tmp_path, options(), on_progress=lambda p: seen.append((p, Manifest.load(tmp_path).frames)))
    assert [(p.done, p.total, p.frames, on_disk) for p, on_disk in seen] == [
        (1, 4, 600, 600),
        (2, 4, 1200, 1200),
        (3, 4, 1800, 1800),
        (4, 4, 2400, 2400),
    ]


@pytest.mark.parametrize(
    ("point", "rebuild"),
    [
        ("between two jobs", "rebuild"),
        ("before the manifest", ""),
        ("within a shard", ""),
        ("before the shards are listed", ""),
    ],
)
def test_a_killed_run_leaves_a_whole_store_and_the_next_run_finishes_it(
    duels: Path, tmp_path: Path, point: str, rebuild: str
) -> None:
    whole = ingest([duels], tmp_path / "whole", options())
    store = tmp_path / "store"
    if rebuild:
        shutil.copytree(tmp_path / "whole", store)
    script = [sys.executable, "-m", "tests.ingest.killed", str(duels), str(store), point, rebuild]
    assert subprocess.run(script, check=False).returncode == -signal.SIGKILL
    left = Store(store)
    assert left.manifest.replays == 2
    assert sum(sample.num_frames for sample in left.samples("all")) == left.manifest.frames == 1200
    assert left.replays().filter(pl.col("status") == "ok").collect().height == 2
    assert left.frames(["frame"]).collect().height == 1200
    finished = ingest([duels], store, options())
    assert counts(finished) == (4, 2, 2, 0, 0, 0)
    assert finished.digest == whole.digest
    listed = {shard.path for shard in Manifest.load(store).shards}
    others = {".lock", "README.md", "manifest.json", "replays.parquet", "replays.previous.parquet", "salt"}
    assert set(files_of(store)) <= listed | others
    assert listed <= set(files_of(store))


def test_orphans_of_a_killed_run_are_gone_before_new_shards_are_numbered(make_duel: MakeDuel, tmp_path: Path) -> None:
    ingest([make_duel("a.slp", 1)], tmp_path / "store", options())
    orphans = [tmp_path / "store" / name for name in ("frames/frames-00007.parquet", "windows/val-000007.tar.1.tmp")]
    bystander = tmp_path / "store" / "frames" / "mine.txt"
    for path in (*orphans, bystander):
        path.write_bytes(b"")
    ingest([make_duel("b.slp", 2)], tmp_path / "store", options())
    assert "frames/frames-00001.parquet" in files_of(tmp_path / "store")
    assert [path.exists() for path in (*orphans, bystander)] == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollback": "first"}, "made with --rollback last .* found --rollback first;"),
        ({"split_seed": 1}, "made with --split-seed 0 .* found --split-seed 1;"),
        ({"character": "Mewtwo"}, "made with no --character .* found --character mewtwo;"),
        ({"include_cpu": True}, "made with no --include-cpu .* found --include-cpu;"),
        ({"keep_all": True}, "made with no --keep-all .* found --keep-all;"),
        ({"min_frames": 2}, "made with --min-frames 1 .* found --min-frames 2;"),
        ({"keep_names": True}, "made with no --keep-names .* found --keep-names;"),
    ],
)
def test_settings_that_contradict_the_store_name_both_values_and_the_way_out(
    duels: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    ingest([duels / "duel-0.slp"], tmp_path, options())
    before = files_of(tmp_path)
    with pytest.raises(ConfigError, match=message + ".*--rebuild"):
        ingest([duels], tmp_path, options(**changes))
    assert files_of(tmp_path) == before


def test_a_rebuild_starts_over_with_other_settings(duels: Path, tmp_path: Path) -> None:
    ingest([duels], tmp_path, options())
    before = {shard.path for shard in Manifest.load(tmp_path).shards}
    report = ingest([duels / "duel-1.slp"], tmp_path, options(rollback="first", rebuild=True))
    manifest = Manifest.load(tmp_path)
    assert (report.store_replays, manifest.rollback) == (1, "first")
    assert not before & set(files_of(tmp_path))


def test_a_dry_run_counts_and_writes_nothing(duels: Path, tmp_path: Path) -> None:
    dry = ingest([duels], tmp_path / "store", options(dry_run=True))
    assert not (tmp_path / "store").exists()
    wet = ingest([duels], tmp_path / "store", options())
    assert (counts(dry), dry.frames, dry.digest) == (counts(wet), wet.frames, wet.digest)
    before = files_of(tmp_path / "store")
    assert counts(ingest([duels], tmp_path / "store", options(dry_run=True))) == (4, 0, 0, 0, 0, 0)
    assert files_of(tmp_path / "store") == before


def test_two_writers_cannot_meet(duels: Path, tmp_path: Path) -> None:
    def second(_: Progress) -> None:
        with pytest.raises(BusyError, match="one process at a time"):
            ingest([duels], tmp_path, options())

    ingest([duels], tmp_path, options(), on_progress=second)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "--workers"),
        ({"min_frames": 0}, "--min-frames"),
        ({"min_frames": 2**31}, "--min-frames"),
        ({"split_seed": 2**53 + 1}, "--split-seed"),
        ({"rollback": "all"}, "--rollback"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options(**changes)


def test_all_two_player_games_are_kept_for_stats_but_in_no_window(make_duel: MakeDuel, tmp_path: Path) -> None:
    long, short = make_duel("in/long.slp", 1, frames=900), make_duel("in/short.slp", 2, frames=300)
    plain = ingest([tmp_path / "in"], tmp_path / "plain", options(min_frames=600))
    report = ingest([tmp_path / "in"], tmp_path / "store", options(min_frames=600, keep_all=True))
    store, kept = Store(tmp_path / "store"), content_id(short.read_bytes())
    assert (report.rejections, report.frames, report.digest) == ({"too_short": 1}, 900, plain.digest)
    assert [sample.id for sample in store.samples("all")] == [content_id(long.read_bytes())]
    row = store.replays().filter(pl.col("id") == kept).collect().row(0, named=True)
    assert (row["status"], row["split"], row["shard"]) == ("rejected", None, "frames/frames-00000.parquet")
    parsed = parse_columns(short, rollback="last")
    for name, column in store.columns(kept).items():
        np.testing.assert_array_equal(column, parsed.columns[name], err_msg=name)
    assert store.frames(["replay"]).collect().height == 1200
    checks = {check.name: check.ok for check in verify(tmp_path / "store").checks}
    assert (checks["replays"], checks["rows"], checks["windows"]) == (True, True, True)


def test_a_game_that_is_left_out_tells_its_quality_all_the_same(make_duel: MakeDuel, tmp_path: Path) -> None:
    path = make_duel("in/diamond-master-0123.slp", 1, frames=300)
    ingest([path], tmp_path / "store", options(min_frames=600))
    (row,) = Store(tmp_path / "store").replays().collect().to_dicts()
    expected = quality_of(parse_columns(path, rollback="last").columns, row)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert (row["status"], row["shard"], row["ranks"]) == ("rejected", None, "diamond-master")


def test_a_character_that_nobody_picked_leaves_an_empty_store(duels: Path, tmp_path: Path) -> None:
    report = ingest([duels], tmp_path, options(character="falco"))
    assert report.rejections == {"character_absent": 4}
    assert Manifest.load(tmp_path).shards == ()


@pytest.mark.parametrize(("version", "taken"), [((1, 5, 0), "sheik"), ((2, 0, 1), "zelda")])
def test_before_slippi_1_6_the_first_frame_says_who_of_zelda_and_sheik_was_picked(
    version: tuple[int, int, int], taken: str, tmp_path: Path
) -> None:
    whole = record(tmp_path, version)
    picked = slp.LAYOUTS[slp.GAME_START].fields["players"][1]  # type: ignore[index]
    played = slp.LAYOUTS[slp.POST_FRAME].fields["character"][1]  # type: ignore[index]
    for place, (command, payload) in enumerate(whole.events):
        if command == slp.GAME_START:
            whole = whole.changed(place, payload[:picked] + b"\x12" + payload[picked + 1 :])
        elif command == slp.POST_FRAME and payload[4] == 0:
            whole = whole.changed(place, payload[:played] + b"\x07" + payload[played + 1 :])
    (tmp_path / "a.slp").write_bytes(whole.file())
    for name in ("zelda", "sheik", "mario"):
        report = ingest([tmp_path / "a.slp"], tmp_path / name, options(character=name, keep_all=True))
        assert report.rejections == ({} if name == taken else {"character_absent": 1})
        checks = verify(tmp_path / name).checks
        assert {check.name for check in checks if not check.ok} <= {"leak"}
    (row,) = Store(tmp_path / taken).replays().collect().to_dicts()
    assert row["character_a"] == {"sheik": 7, "zelda": 19}[taken]


def test_every_edge_case_is_accounted_for(tmp_path: Path) -> None:
    report = ingest([replay_archive("edge-cases.zip")], tmp_path, IngestOptions(workers=1))
    assert counts(report) == (136, 136, 29, 102, 5, 0)
    assert report.frames == 209_198
    assert report.rejections == {"cpu_player": 35, "no_damage": 3, "not_two_players": 13, "teams": 1, "too_short": 50}
    assert report.failures == {"no_payload_sizes": 2, "truncated": 2, "unknown_event": 1}
    assert report.repairs.items() >= {"container": 1, "damaged": 1, "payloads": 1}.items()
    rows = Store(tmp_path).replays().collect()
    assert rows.filter((pl.col("status") == "ok") == pl.col("reason").is_not_null()).height == 0


def test_new_replays_are_judged_by_the_condition_the_store_was_encoded_with(
    duels: Path, tmp_path: Path, make_duel: MakeDuel
) -> None:
    store = tmp_path / "store"
    ingest([duels], store, options())
    encode_windows(store, where="frames < 700")
    kept = {sample.id for sample in Store(store).samples("all")}
    assert len(kept) == 4
    for name, seed, frames in (("more/short.slp", 21, 600), ("more/long.slp", 22, 800)):
        make_duel(name, seed, frames)
    report = ingest([tmp_path / "more"], store, options())
    manifest = Store(store).manifest
    assert (report.replays_ingested, manifest.replays, manifest.where) == (2, 6, "frames < 700")
    assert (manifest.left_replays, manifest.left_frames) == (1, 800)
    assert {sample.num_frames for sample in Store(store).samples("all")} == {600}
    assert {check.name for check in verify(store).checks if not check.ok} <= {"leak"}
    encode_windows(store)
    assert Store(store).manifest.digest == manifest.digest
    rebuilt = ingest([duels], store, options(rebuild=True))
    assert (rebuilt.store_replays, Store(store).manifest.where) == (4, "")


def test_features_that_a_store_leaves_out_stay_out_as_it_grows(
    duels: Path, make_duel: MakeDuel, tmp_path: Path
) -> None:
    store, whole = tmp_path / "store", tmp_path / "whole"
    ingest([duels], store, options())
    encode_windows(store, features="base+hitlag")
    make_duel("more/new.slp", 21, 600)
    assert ingest([tmp_path / "more"], store, options()).replays_ingested == 1
    manifest = Store(store).manifest
    assert (manifest.replays, manifest.features) == (5, "base+hitlag")
    assert {check.name for check in verify(store).checks if not check.ok} <= {"leak"}
    ingest([duels, tmp_path / "more"], whole, options())
    encode_windows(whole, features="base+hitlag")
    assert Store(whole).manifest.digest == manifest.digest
    ours, theirs = ({sample.id: pack(sample) for sample in Store(folder).samples("all")} for folder in (store, whole))
    assert ours == theirs
    ingest([duels], store, options(rebuild=True))
    assert Store(store).manifest.features == "all"


def test_filters_changed_by_hand_do_not_let_other_replays_in(duels: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ingest([duels / "duel-0.slp"], store, options())
    manifest = store / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"min_frames": 1', '"min_frames": 500'))
    with pytest.raises(
        SchemaError, match=r"filters, where and features in manifest\.json must be those its data was made with"
    ):
        ingest([duels], store, options(min_frames=500))

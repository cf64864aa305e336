"""Of several recordings of one game the whole one is kept, in whatever order and run they come; different games are never one."""

import itertools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset.io.atomic import sha256_of
from dataset.slippi import slp
from dataset.store import frame_table
from dataset.store.manifest import Manifest
from dataset.store.reencode import encode_windows
from dataset.store.replay_table import REPLAYS_NAME
from dataset.store.store import Store
from dataset.verify.verify import verify
from ingest.jobs import commit
from ingest.jobs.job import content_id
from ingest.jobs.pipeline import IngestReport, ingest
from ingest.options import IngestOptions
from tests.ingest.strangers import Change, changed, cut, in_start

FEW_KILLS = (
    "within the new window shard",
    "before the table",
    "before the manifest",
    "before the old shard is deleted",
)


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


@pytest.fixture
def recordings(make_duel: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """One game four times, best first: whole, whole from the other client, ended earlier, cut; and a game that is alone."""
    whole = make_duel("made/whole.slp", 1, 600).read_bytes()
    twins = sorted((whole, changed(whole, _renamed)), key=content_id)
    made = {
        "whole": twins[0],
        "other client": twins[1],
        "ended earlier": make_duel("made/short.slp", 1, 500).read_bytes(),
        "cut": cut(whole, 550),
        "alone": make_duel("made/alone.slp", 2, 300).read_bytes(),
    }
    for name, data in made.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "game.slp").write_bytes(data)
    return {name: tmp_path / name for name in made}


def _renamed(tables: dict[int, slp.Table]) -> None:
    tables[slp.GAME_START]["display_name"][0, 0] = b"Somebody"


def runs(store: Path, *sources: Sequence[Path], **changes: object) -> IngestReport:
    """Ingest each of ``sources`` in a run of its own."""
    for paths in sources:
        report = ingest(list(paths), store, options(**changes))
    return report


def statuses(store: Path) -> dict[str, str]:
    rows = Store(store).replays().collect().to_dicts()
    return {row["id"]: row["reason"] or row["status"] for row in rows}


def check_kept(store: Path, recordings: dict[str, Path], kept: str) -> None:
    """Only ``kept`` and the game that is alone are let in and have windows, and all is in order."""
    ids = {name: content_id((folder / "game.slp").read_bytes()) for name, folder in recordings.items()}
    found = statuses(store)
    assert {name for name, id_ in ids.items() if found.get(id_) == "ok"} == {kept, "alone"}
    assert set(found.values()) <= {"ok", "same_game"}
    assert {sample.id for sample in Store(store).samples("all")} == {ids[kept], ids["alone"]}
    assert [check.detail for check in verify(store).checks if not check.ok] == []


def test_the_whole_recording_is_kept_in_whatever_order_and_run_it_comes(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    alone, contenders = (
        recordings["alone"],
        [recordings[name] for name in ("whole", "other client", "cut")],
    )
    digests = set()
    for number, order in enumerate(itertools.permutations(contenders)):
        store = tmp_path / f"store-{number}"
        digests.add(runs(store, [order[0], alone], *([one] for one in order[1:])).digest)
        if number % 3 == 0:
            check_kept(store, recordings, "whole")
    digests.add(runs(tmp_path / "at-once", [*contenders, alone]).digest)
    digests.add(runs(tmp_path / "two", [contenders[2], contenders[1], alone], [contenders[0]]).digest)
    check_kept(tmp_path / "at-once", recordings, "whole")
    check_kept(tmp_path / "two", recordings, "whole")
    assert len(digests) == 1


@pytest.mark.parametrize("worse", ["other client", "ended earlier", "cut"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_game_end_counts_before_length_and_length_before_the_hash(
    recordings: dict[str, Path], tmp_path: Path, worse: str, workers: int
) -> None:
    runs(tmp_path / "store", [recordings[worse], recordings["alone"], recordings["whole"]], workers=workers)
    check_kept(tmp_path / "store", recordings, "whole")
    runs(tmp_path / "other", [recordings["cut"], recordings["alone"], recordings["ended earlier"]], workers=workers)
    check_kept(tmp_path / "other", recordings, "ended earlier")


def test_frames_of_a_recording_that_was_replaced_stay_in_their_shard(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    runs(tmp_path / "store", [recordings["cut"], recordings["alone"]])
    before = Manifest.load(tmp_path / "store").of_kind("frames")
    report = runs(tmp_path / "store", [recordings["whole"]])
    assert (report.replays_ingested, report.duplicates, report.store_replays, report.store_frames) == (1, {}, 2, 900)
    manifest = Manifest.load(tmp_path / "store")
    assert set(before) <= set(manifest.of_kind("frames"))
    assert (manifest.kept_replays, manifest.kept_frames) == (1, 550)
    on_disk = {path.name for path in (tmp_path / "store" / "windows").iterdir()}
    assert on_disk == {Path(shard.path).name for shard in manifest.of_kind("windows")}


def test_a_store_that_was_encoded_again_or_leaves_replays_out_is_rewritten_too(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    runs(tmp_path / "store", [recordings["alone"]], [recordings["cut"]])
    encode_windows(tmp_path / "store", "joint")
    runs(tmp_path / "store", [recordings["whole"]])
    check_kept(tmp_path / "store", recordings, "whole")
    runs(tmp_path / "other", [recordings["alone"]], [recordings["cut"]])
    encode_windows(tmp_path / "other", where="frames < 500")
    runs(tmp_path / "other", [recordings["whole"]])
    assert [sample.num_frames for sample in Store(tmp_path / "other").samples("all")] == [300]
    assert verify(tmp_path / "other").ok


def test_a_dry_run_tells_the_digest_and_changes_nothing(recordings: dict[str, Path], tmp_path: Path) -> None:
    runs(tmp_path / "store", [recordings["cut"], recordings["alone"]])
    before = {path: sha256_of(path) for path in sorted((tmp_path / "store").rglob("*.*"))}
    told = runs(tmp_path / "store", [recordings["whole"]], dry_run=True)
    assert {path: sha256_of(path) for path in sorted((tmp_path / "store").rglob("*.*"))} == before
    assert told.digest == runs(tmp_path / "store", [recordings["whole"]]).digest


def test_a_recording_that_the_filters_refuse_replaces_none(recordings: dict[str, Path], tmp_path: Path) -> None:
    report = runs(tmp_path / "store", [recordings["cut"]], [recordings["ended earlier"]], min_frames=520)
    assert (report.rejections, report.store_replays) == ({"too_short": 1}, 1)
    assert verify(tmp_path / "store").ok


class Killed(BaseException):
    """Stands for SIGKILL: nothing that a run would do afterwards is done."""


@pytest.mark.parametrize("point", FEW_KILLS)
def test_a_kill_while_a_recording_is_replaced_leaves_a_valid_store_and_the_next_run_finishes(
    recordings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    store = tmp_path / "store"
    runs(store, [recordings["cut"], recordings["alone"]])
    alike = runs(tmp_path / "expected", [recordings["cut"], recordings["alone"], recordings["whole"]])
    with monkeypatch.context() as patch:
        if point == "within the new window shard":
            patch.setattr(frame_table, "add_packed", die)
        elif point == "before the table":
            patch.setattr(commit, "save_replays", die)
        elif point == "before the manifest":
            patch.setattr(Manifest, "save", die)
        else:
            runs_before = commit.OpenStore.commit

            def commit_and_die(self: commit.OpenStore) -> None:
                runs_before(self)
                raise Killed

            patch.setattr(commit.OpenStore, "commit", commit_and_die)
        with pytest.raises(Killed):
            runs(store, [recordings["whole"]])
    assert [check.detail for check in verify(store).checks if not check.ok] == []
    assert runs(store, [recordings["whole"]]).digest == alike.digest
    check_kept(store, recordings, "whole")
    listed = {shard.path for shard in Manifest.load(store).shards}
    assert {f"{path.parent.name}/{path.name}" for path in store.glob("*/*")} == listed


DIFFERENT: dict[str, Change] = {
    "seed": in_start(random_seed=99),
    "stage": in_start(stage=31),
    "character": lambda tables: _play(tables, 0x09, 18),
    "code": lambda tables: tables[slp.GAME_START]["connect_code"].__setitem__((0, 0), b"OTHER#1"),
    "tie-break": in_start(tiebreaker=1),
    "number": in_start(game_number=2),
}


def _play(tables: dict[int, slp.Table], external: int, internal: int) -> None:
    tables[slp.GAME_START]["players"]["character"][0, 0] = external
    post = tables[slp.POST_FRAME]
    post["character"][post["port"] == 0] = internal


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("what", DIFFERENT)
def test_games_that_share_only_the_match_are_different_games(
    duel_bytes: bytes, tmp_path: Path, what: str, together: bool
) -> None:
    for name, data in (("a", duel_bytes), ("b", changed(duel_bytes, DIFFERENT[what]))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "game.slp").write_bytes(data)
    a, b = tmp_path / "a", tmp_path / "b"
    report = runs(tmp_path / "store", [a, b]) if together else runs(tmp_path / "store", [a], [b])
    assert (report.store_replays, report.duplicates) == (2, {})
    assert verify(tmp_path / "store").ok


def test_rows_of_older_stores_which_hold_no_seed_are_compared_by_all_else(
    recordings: dict[str, Path], duel_bytes: bytes, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    runs(store, [recordings["cut"], recordings["alone"]])
    table = pl.read_parquet(store / REPLAYS_NAME).drop("random_seed")
    table.write_parquet(store / REPLAYS_NAME)
    manifest = Manifest.load(store)
    replace(manifest, replays_sha256=sha256_of(store / REPLAYS_NAME)).save(store)
    assert verify(store).ok
    runs(store, [recordings["whole"]])
    check_kept(store, recordings, "whole")
    runs(store, [recordings["other client"]])
    check_kept(store, recordings, "whole")
    seeds = Store(store).replays().collect()["random_seed"].to_list()
    assert np.count_nonzero([seed is None for seed in seeds]) == 2
    shutil.rmtree(store)

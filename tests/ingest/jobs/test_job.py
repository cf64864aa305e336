"""No replay ends a run, and what is let in passes ``exphil verify``: what is wrong with one is its own failure, with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset.codecs.registry import CODECS
from dataset.slippi import slp
from dataset.store.reencode import encode_windows
from dataset.store.store import Store
from dataset.verify.verify import verify
from ingest.jobs import job, pipeline
from ingest.jobs.job import Job, Known, Settings, run_jobs
from ingest.jobs.pipeline import ingest, ingest_candidates
from ingest.jobs.workers import run_jobs_in_pool
from ingest.options import IngestOptions
from ingest.replay.judge import Names
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate
from tests.ingest.strangers import Change, FailingNames, changed, in_start, without_game_start

Runner = Callable[..., Any]


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


def rows_of(store: Path) -> list[dict[str, Any]]:
    return Store(store).replays().collect().to_dicts()


@pytest.mark.parametrize("started", [20_260_101, {"date": "today"}])
def test_a_date_that_is_no_text_is_left_out_and_the_game_let_in(
    duel_bytes: bytes, tmp_path: Path, started: object
) -> None:
    (tmp_path / "a.slp").write_bytes(changed(duel_bytes, metadata={"startAt": started, "playedOn": "dolphin"}))
    assert ingest([tmp_path / "a.slp"], tmp_path / "store", options()).replays_ingested == 1
    assert [(row["status"], row["started_at"]) for row in rows_of(tmp_path / "store")] == [("ok", None)]


@pytest.mark.parametrize("started", [2**40, ["2026"], 1.5, float("nan"), None, {"a": {"b": [None, {}]}}])
def test_metadata_that_no_recorder_writes_ends_no_run(duel_bytes: bytes, tmp_path: Path, started: object) -> None:
    (tmp_path / "a.slp").write_bytes(changed(duel_bytes, metadata={"startAt": started, "playedOn": started}))
    assert ingest([tmp_path / "a.slp"], tmp_path / "store", options()).replays_found == 1
    assert [row["started_at"] for row in rows_of(tmp_path / "store")] == [None]


@pytest.mark.parametrize("number", [2**31, 2**32 - 1])
def test_numbers_that_the_table_cannot_hold_are_left_out_and_the_game_let_in(
    duel_bytes: bytes, tmp_path: Path, number: int
) -> None:
    start = in_start(game_number=number, tiebreaker=number)
    (tmp_path / "a.slp").write_bytes(changed(duel_bytes, start))
    assert ingest([tmp_path / "a.slp"], tmp_path / "store", options()).replays_ingested == 1
    (row,) = rows_of(tmp_path / "store")
    assert (row["status"], row["game_number"], row["tiebreaker"]) == ("ok", None, None)


def test_a_member_of_impossible_size_and_date_is_known_by_the_next_run(duels: Path, tmp_path: Path) -> None:
    lost = [
        Candidate(source=str(tmp_path / "a.tar"), member=name, size=size, mtime=mtime, archive_size=2**70)
        for name, size, mtime in (("low\ud800.slp", -(2**70), -(2**70)), ("high.slp", 2**63, 2**63))
    ]
    found = [*find_candidates([duels]), *lost]
    report = ingest_candidates(lambda: found, tmp_path / "store", options())
    assert (report.replays_ingested, report.failures) == (4, {"too_large": 1, "unreadable_file": 1})
    again = ingest_candidates(lambda: found, tmp_path / "store", options())
    assert (again.replays_new, again.failures) == (1, {"unreadable_file": 1}), "which each run tries again"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_game_start_without_bytes_is_a_failure_of_its_own(duel_bytes: bytes, tmp_path: Path, workers: int) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.slp").write_bytes(without_game_start(duel_bytes))
    (tmp_path / "in" / "good.slp").write_bytes(duel_bytes)
    report = ingest([tmp_path / "in"], tmp_path / "store", options(workers=workers))
    assert (report.replays_ingested, report.failures) == (1, {"bad_game_start": 1})


@pytest.mark.parametrize("run", [run_jobs, lambda *jobs: run_jobs_in_pool(*jobs, workers=1)], ids=["here", "pool"])
def test_an_error_of_exphil_itself_fails_one_replay_and_names_its_place(
    make_duel: Callable[..., Path], tmp_path: Path, run: Runner
) -> None:
    for seed, ports in enumerate(((1, 2), (3, 4), (1, 2))):  # duelists are named after their ports
        make_duel(f"in/{seed}.slp", seed, 300, ports=ports)
    groups = tuple((candidate,) for candidate in find_candidates([tmp_path / "in"]))
    names = FailingNames(b"", True, "Duelist 4")
    settings = Settings(store=tmp_path / "store", options=options(), names=names)
    rows = [row for result in run([Job(index=0, groups=groups)], settings, Known()) for row in result.rows]
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert rows[1]["reason"] == "internal_error"
    assert "ZeroDivisionError (no way to write" in rows[1]["detail"]
    assert "strangers.py:" in rows[1]["detail"]


@pytest.mark.parametrize("place", ["read_header", "parse_columns", "outcome_of", "judge", "rows_digest", "sample_of"])
def test_any_exception_while_a_replay_is_read_parsed_judged_or_encoded_is_its_own(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    calls: list[object] = []
    work = getattr(job, place)

    def once_failing(*arguments: Any, **others: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise RecursionError(f"{duels}/duel-1.slp was too deep")
        return work(*arguments, **others)

    monkeypatch.setattr(job, place, once_failing)
    report = ingest([duels], tmp_path / "store", options())
    assert (report.replays_ingested, report.failures) == (3, {"internal_error": 1})
    (failed,) = [row for row in rows_of(tmp_path / "store") if row["status"] == "failed"]
    assert "RecursionError" in failed["detail"]
    manifest = Store(tmp_path / "store").manifest
    assert sum(shard.samples for shard in manifest.of_kind("frames")) == 3
    assert sum(shard.samples for shard in manifest.of_kind("windows")) == 3


def test_the_detail_of_an_error_names_no_file(duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(source: object, **_: Any) -> Any:
        raise LookupError(f"{source}: lost\nand more")

    monkeypatch.setattr(job, "parse_columns", failing)
    ingest([duels], tmp_path / "store", options())
    details = [row["detail"] for row in rows_of(tmp_path / "store")]
    assert len(details) == 4
    assert not any("duel-" in detail or str(duels) in detail or "more" in detail for detail in details)


def test_a_key_of_the_game_that_cannot_be_made_ends_no_run(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Any:
        raise OverflowError("no key")

    monkeypatch.setattr(pipeline, "header_key", failing)
    assert ingest([duels], tmp_path / "store", options()).replays_ingested == 4


def test_ctrl_c_still_ends_a_run(duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "parse_columns", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest([duels], tmp_path / "store", options())


def test_names_that_are_no_unicode_at_all_are_written_all_the_same() -> None:
    for is_kept in (True, False):
        written = Names(b"salt", is_kept).of("a\ud800b\udc83")
        assert written is not None
        assert pl.Series([written]).to_list() == [written]


def test_a_tables_layout_without_bytes_is_a_bad_game_start(duel_bytes: bytes) -> None:
    with pytest.raises(slp.ReplayError, match="320 bytes or more, found 0"):
        slp.read_header(without_game_start(duel_bytes))


def in_post(at: int, **fields: object) -> Change:
    """Sets fields of one post frame."""

    def change(tables: dict[int, slp.Table]) -> None:
        for name, value in fields.items():
            tables[slp.POST_FRAME][name][at] = value

    return change


def in_pre(at: int, **fields: object) -> Change:
    """Sets fields of one pre frame."""

    def change(tables: dict[int, slp.Table]) -> None:
        for name, value in fields.items():
            tables[slp.PRE_FRAME][name][at] = value

    return change


def every_frame(shift: int, since: int) -> Change:
    """Moves the numbers of all frames from ``since`` on."""

    def change(tables: dict[int, slp.Table]) -> None:
        for table in tables.values():
            if "frame" in (table.dtype.names or ()):
                table["frame"][table["frame"] >= since] += shift

    return change


IMPOSSIBLE = {
    "character": (in_post(300, character=200), "impossible_ids"),
    "action state": (in_post(300, state=5000), "impossible_ids"),
    "hurtbox": (in_post(300, hurtbox_state=9), "impossible_ids"),
    "l-cancel": (in_post(300, l_cancel=7), "impossible_ids"),
    "somebody else's character": (in_post(300, character=5), "impossible_characters"),
    "stick in the dead zone": (in_pre(300, joystick_x=0.1, joystick_y=0.0), "impossible_sticks"),
    "stick beyond the rim": (in_pre(300, cstick_x=0.9, cstick_y=0.9), "impossible_sticks"),
    "trigger": (in_pre(300, trigger=0.1, buttons_physical=0), "impossible_triggers"),
    "clicked without its trigger": (in_pre(300, trigger=0.5, buttons_physical=0x40), "impossible_controllers"),
    "clicked, only joint tells": (in_pre(300, trigger=0.93, buttons_physical=0x40), "impossible_controllers"),
    "before the first frame": (every_frame(-1, -123), "impossible_frames"),
    "after days": (every_frame(2**24, 400), "impossible_frames"),
    "after years": (every_frame(2**31 - 1000, 400), "impossible_frames"),
}


@pytest.mark.parametrize("keep_all", [False, True])
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_verify_would_not_pass_is_refused_with_a_reason_and_not_kept(
    duel_bytes: bytes, tmp_path: Path, name: str, keep_all: bool
) -> None:
    change, reason = IMPOSSIBLE[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.slp").write_bytes(duel_bytes)
    changed_bytes = changed(duel_bytes, lambda tables: [in_start(random_seed=7, match_id=b"m")(tables), change(tables)])
    (tmp_path / "in" / "impossible.slp").write_bytes(changed_bytes)
    report = ingest([tmp_path / "in"], tmp_path / "store", options(keep_all=keep_all))
    assert (report.replays_ingested, report.failures) == (1, {reason: 1})
    (row,) = [row for row in rows_of(tmp_path / "store") if row["status"] == "failed"]
    assert (row["shard"], row["version"]) == (None, "3.18.0"), "the row holds what was known"
    assert "first " in row["detail"] or "found that" in row["detail"]
    for codec in CODECS:
        encode_windows(tmp_path / "store", codec)
        assert [check.detail for check in verify(tmp_path / "store").checks if not check.ok] == []


def test_a_computer_players_sticks_may_lie_where_no_persons_do(duel_bytes: bytes, tmp_path: Path) -> None:
    def by_a_cpu(tables: dict[int, slp.Table]) -> None:
        tables[slp.GAME_START]["players"]["kind"][0, 0] = 1
        in_pre(300, joystick_x=0.1, joystick_y=0.0)(tables)

    (tmp_path / "a.slp").write_bytes(changed(duel_bytes, by_a_cpu))
    assert ingest([tmp_path / "a.slp"], tmp_path / "store", options(include_cpu=True)).replays_ingested == 1
    assert verify(tmp_path / "store").ok


def test_damage_that_no_number_holds_passes_verify_as_null(duel_bytes: bytes, tmp_path: Path) -> None:
    def huge(tables: dict[int, slp.Table]) -> None:
        for at in range(300, 340, 4):
            in_post(at, percent=3e38)(tables)

    (tmp_path / "a.slp").write_bytes(changed(duel_bytes, huge))
    assert ingest([tmp_path / "a.slp"], tmp_path / "store", options()).replays_ingested == 1
    assert [row["damage_b"] for row in rows_of(tmp_path / "store")] == [None]
    assert [check.detail for check in verify(tmp_path / "store").checks if not check.ok] == []

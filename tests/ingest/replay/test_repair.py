"""Replays that peppi refuses, or reads wrongly: what is whole in them is what the undamaged file holds."""

import os
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset.errors import ReplayError
from dataset.io.atomic import sha256_of
from dataset.schema import COLUMNS, Columns
from dataset.slippi import slp
from dataset.slippi.repair import REASONS, repair
from dataset.slippi.slp import BOOKEND, FRAME_START, GAME_START, POST_FRAME, PRE_FRAME
from dataset.store.replay_table import REPLAYS_NAME
from dataset.store.store import Store
from dataset.verify.verify import verify
from ingest.jobs.job import content_id
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from ingest.replay.judge import SENTENCES
from ingest.replay.parse import ParsedReplay, parse_columns
from tests.conftest import replay_archive
from tests.ingest.recordings import SIZES, WITH_SHORT_BOOKENDS, Recording, number, record

FIRST, MIDDLE, LAST = -123, 0, 76
FRAMES = (FIRST, MIDDLE, LAST)


def parse(data: bytes, rollback: str = "last") -> ParsedReplay:
    return parse_columns(data, rollback=rollback)  # type: ignore[arg-type]


def assert_rows(found: ParsedReplay, whole: Columns, left_out: set[int] = frozenset(), but: str = "-") -> None:  # type: ignore[assignment]
    """All rows of the undamaged file but those frames, all columns but those beginning with ``but``."""
    rows = ~np.isin(whole["frame"], list(left_out))
    assert {name for name in found.columns if "_nana_" not in name} == {name for name in whole if "_nana_" not in name}
    for name, column in whole.items():
        if not name.startswith(but):
            np.testing.assert_array_equal(found.columns[name], column[rows], err_msg=name)


@pytest.mark.parametrize("has_nana", [False, True])
@pytest.mark.parametrize("version", list(SIZES))
def test_a_single_event_that_is_missing_costs_its_frame_at_most(
    version: tuple[int, int, int], has_nana: bool, tmp_path: Path
) -> None:
    whole = record(tmp_path, version, has_nana=has_nana)
    expected = parse(whole.file()).columns
    assert expected["a_nana_exists"].all() == has_nana
    for place in [place for frame in FRAMES for place in whole.places(frame)]:
        command, payload = whole.events[place]
        is_follower = command in (PRE_FRAME, POST_FRAME) and payload[5] == 1
        frame = number(payload)
        lost = {frame} if command in (PRE_FRAME, POST_FRAME) and not is_follower else set()
        found = parse(whole.without(place).file())
        assert_rows(found, expected, lost, but="a_nana_" if is_follower else "-")
        assert (found.repaired, found.frame_gaps) == (("events",), len(lost)), (command, frame)
        if is_follower:
            assert found.columns["frame"][~found.columns["a_nana_exists"]].tolist() == [frame]


@pytest.mark.parametrize("version", list(SIZES))
def test_a_single_event_that_is_doubled_costs_nothing(version: tuple[int, int, int], tmp_path: Path) -> None:
    whole = record(tmp_path, version, has_nana=True)
    expected = parse(whole.file()).columns
    for place in [place for frame in FRAMES for place in whole.places(frame)]:
        if (version, whole.events[place][0]) != ((2, 2, 0), FRAME_START):  # which peppi takes for a copy of the frame
            found = parse(whole.with_again(place).file())
            assert_rows(found, expected)
            assert (found.repaired, found.frame_gaps) == (("events",), 0)


def test_of_a_doubled_event_the_one_that_the_rollback_rule_names_counts(tmp_path: Path) -> None:
    whole = record(tmp_path)
    place = next(place for place in whole.places(MIDDLE) if whole.events[place][0] == POST_FRAME)
    payload = bytearray(whole.events[place][1])
    payload[slp.LAYOUTS[POST_FRAME].fields["combo_count"][1]] = 77  # type: ignore[index]
    doubled = whole.with_again(place).changed(place, bytes(payload))
    at = MIDDLE - FIRST
    assert parse(doubled.file(), "first").columns["a_combo_count"][at] == 77
    assert parse(doubled.file(), "last").columns["a_combo_count"][at] != 77


@pytest.mark.parametrize("command", [PRE_FRAME, POST_FRAME, BOOKEND])
@pytest.mark.parametrize("version", [(3, 18, 0), (2, 0, 1)])
@pytest.mark.parametrize("is_missing_first", [True, False])
def test_a_missing_event_and_a_doubled_one_do_not_shift_the_rows_between(
    is_missing_first: bool, version: tuple[int, int, int], command: int, tmp_path: Path
) -> None:
    whole = record(tmp_path, version)
    if command not in whole.sizes:
        pytest.skip("no bookends yet")
    expected = parse(whole.file()).columns
    first, second = (next(at for at in whole.places(frame) if whole.events[at][0] == command) for frame in (0, 60))
    missing, doubled = (first, second) if is_missing_first else (second, first)
    found = parse(whole.with_again(doubled).without(missing + (doubled < missing)).file())
    assert_rows(found, expected, set() if command == BOOKEND else {number(whole.events[missing][1])})


def test_a_record_of_nobody_who_plays_is_left_out(tmp_path: Path) -> None:
    whole = record(tmp_path)
    place = whole.places(MIDDLE)[1]
    payload = whole.events[place][1]
    found = parse(whole.changed(place, payload[:4] + b"\x80" + payload[5:]).file())
    assert_rows(found, parse(whole.file()).columns, {MIDDLE})
    assert found.repaired == ("events",)


@pytest.mark.parametrize("length", [0, 1, 100, 2**31])
@pytest.mark.parametrize("tail", [b"", slp.METADATA_KEY + b"{U\x07startAtS"])
def test_a_file_that_was_not_closed_is_read_to_its_game_end(length: int, tail: bytes, tmp_path: Path) -> None:
    whole = record(tmp_path)
    found = parse(slp.RAW_PREFIX + length.to_bytes(4, "big") + whole.raw() + tail)
    assert_rows(found, parse(whole.file()).columns)
    assert (found.repaired, found.end_method, found.started_at) == (("container",), "time", None)


def test_a_wrong_length_does_not_hide_the_metadata(tmp_path: Path) -> None:
    whole = record(tmp_path)
    data = bytearray(whole.file())
    data[len(slp.RAW_PREFIX) + 3] ^= 1
    found = parse(bytes(data))
    assert (found.repaired, found.started_at) == (("container",), whole.metadata["startAt"])


def test_events_without_a_file_around_them_are_read(tmp_path: Path) -> None:
    whole = record(tmp_path)
    found = parse(whole.raw())
    assert_rows(found, parse(whole.file()).columns)
    assert found.repaired == ("container",)


@pytest.mark.parametrize("version", [(3, 18, 0), (2, 0, 1)])
@pytest.mark.parametrize("has_length", [True, False])
def test_a_file_that_breaks_off_keeps_every_whole_frame(
    version: tuple[int, int, int], has_length: bool, tmp_path: Path
) -> None:
    whole = record(tmp_path, version)
    expected, raw = parse(whole.file()).columns, whole.raw()
    head = slp.RAW_PREFIX + (len(raw) if has_length else 0).to_bytes(4, "big")
    ends = {}  # of the last post frame of each frame
    at = len(raw) - sum(1 + len(payload) for _, payload in whole.events)
    for command, payload in whole.events:
        at += 1 + len(payload)
        if command == POST_FRAME:
            ends[number(payload)] = at
    for cut in (ends[FIRST], ends[10] - 1, ends[10], ends[10] + 1, ends[10] + 40, ends[LAST]):
        kept = max(frame for frame, end in ends.items() if end <= cut)
        found = parse(head + raw[:cut])
        assert_rows(found, expected, set(range(kept + 1, LAST + 1)))
        assert (found.end_method, found.frame_gaps) == (None, 0)
        assert {"container", "cut"} <= set(found.repaired)


@pytest.mark.parametrize(("has_length", "reason"), [(True, "truncated"), (False, "unfinished")])
def test_a_file_without_a_whole_frame_fails_as_before(has_length: bool, reason: str, tmp_path: Path) -> None:
    raw = record(tmp_path).raw()
    with pytest.raises(ReplayError) as caught:
        parse(slp.RAW_PREFIX + (len(raw) if has_length else 0).to_bytes(4, "big") + raw[:900])
    assert caught.value.reason == reason


@pytest.mark.parametrize("command", [PRE_FRAME, POST_FRAME])
def test_records_shorter_than_any_version_has_them_are_a_refusal(command: int, tmp_path: Path) -> None:
    whole = record(tmp_path)
    events = tuple((kind, payload[:3] if kind == command else payload) for kind, payload in whole.events)
    with pytest.raises(ReplayError):
        parse(replace(whole, events=events, sizes=whole.sizes | {command: 3}).file())


@pytest.mark.parametrize("version", [(3, 18, 0), (2, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("change", ["flip", "take", "put"])
def test_damage_costs_the_frames_it_touches(change: str, version: tuple[int, int, int], tmp_path: Path) -> None:
    whole = record(tmp_path, version)
    expected, raw = parse(whole.file()).columns, whole.raw()
    place = whole.places(MIDDLE)[-1]
    at = len(raw) - sum(1 + len(payload) for _, payload in whole.events[place:])
    other = {"flip": b"\xee" + raw[at + 1 :], "take": raw[at + 5 :], "put": b"\xee" + raw[at:]}[change]
    found = parse(slp.pack(raw[:at] + other, whole.metadata))
    lost = set(expected["frame"].tolist()) - set(found.columns["frame"].tolist())
    assert lost <= {MIDDLE, MIDDLE + 1}
    assert_rows(found, expected, lost)
    assert (found.frame_gaps, found.end_method) == (len(lost), "time")
    assert "damaged" in found.repaired


def test_names_in_another_code_page_do_not_cost_the_game(tmp_path: Path) -> None:
    whole = record(tmp_path)
    expected = parse(whole.file()).columns
    at = slp.LAYOUTS[GAME_START].fields["display_name"][1]  # type: ignore[index]
    start = whole.events[0][1]
    in_latin_1 = whole.changed(0, start[:at] + "Zoë".encode("latin-1") + start[at + 3 :])
    for data in (in_latin_1.file(), whole.file().replace(b"exphil duel", "エクスフィル".encode("cp932")[:11])):
        found = parse(data)
        assert_rows(found, expected)
        assert (found.repaired, found.started_at) == (("text",), whole.metadata["startAt"])


def test_a_game_start_with_values_that_nobody_knows_is_read(tmp_path: Path) -> None:
    whole = record(tmp_path)
    start = bytearray(whole.events[0][1])
    start[0x141 - 1 : 0x161 - 1] = b"\xff" * 32  # the controller fixes
    found = parse(whole.changed(0, bytes(start)).file())
    assert_rows(found, parse(whole.file()).columns)
    assert found.repaired == ("header",)


def test_a_file_name_that_is_no_unicode_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode("試合.slp".encode("cp932"))
    try:
        path.write_bytes(record(tmp_path).file())
    except (OSError, UnicodeError):
        pytest.skip("the file system takes Unicode names only")
    assert parse_columns(str(path), rollback="last").repaired == ()


@pytest.mark.parametrize(("size", "version"), [(64, (3, 16, 0)), (63, (3, 14, 0))])
def test_payloads_shorter_than_their_version_make_it_an_older_one(
    size: int, version: tuple[int, int, int], tmp_path: Path
) -> None:
    whole = record(tmp_path)
    events = [(kind, payload[:size] if kind == PRE_FRAME else payload) for kind, payload in whole.events]
    found = parse(Recording(tuple(events), whole.sizes | {PRE_FRAME: size}, whole.metadata).file())
    recorded = {column.name for column in COLUMNS if column.since <= version and "_nana_" not in column.name}
    assert {name for name in found.columns if "_nana_" not in name} == recorded
    assert_rows(found, {name: parse(whole.file()).columns[name] for name in recorded})
    assert (found.repaired, found.version) == (("payloads",), version)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_version_before_the_first_is_read_as_the_first(is_damaged: bool, tmp_path: Path) -> None:
    whole = record(tmp_path, min(SIZES))
    stated = whole.changed(0, bytes(3) + whole.events[0][1][3:])
    found = parse((stated.with_again(whole.places(MIDDLE)[0]) if is_damaged else stated).file())
    recorded = {column.name for column in COLUMNS if column.since <= (0, 1, 0)}
    assert_rows(found, {name: column for name, column in parse(whole.file()).columns.items() if name in recorded})
    assert (found.repaired, found.version) == (("events",) if is_damaged else (), (0, 1, 0))


@pytest.mark.parametrize("version", WITH_SHORT_BOOKENDS)
def test_slippi_3_0_to_3_6_is_read_whichever_peppi_is_installed(version: tuple[int, int, int], tmp_path: Path) -> None:
    new, old = parse(record(tmp_path).file()), parse(record(tmp_path, version).file())
    recorded = {name for name in new.columns if name in {c.name for c in COLUMNS if c.since <= version}}
    assert old.columns.keys() == recorded
    assert_rows(old, {name: new.columns[name] for name in recorded})
    assert (old.version, old.end_method, old.frame_gaps) == (version, "time", 0)
    assert old.repaired in (("bookends",), ())


def test_the_fork_of_peppi_reads_slippi_3_6_by_itself(tmp_path: Path) -> None:
    try:
        metadata.version("peppi-py-vladfi")
    except metadata.PackageNotFoundError:
        pytest.skip("peppi-py-vladfi is not installed")
    data = record(tmp_path, (3, 6, 0)).file()
    found, repaired = parse(data), repair(data)
    assert found.repaired == ()
    assert repaired is not None
    assert repaired.reasons == ("bookends",)
    assert_rows(parse(repaired.data), found.columns)


@pytest.mark.parametrize("end", [b"\2\x55\0\1\xff\xff", b"\2\xff\x11\x10\xff\xff"])
def test_a_game_end_that_names_nobody_is_kept_without_the_name(end: bytes, tmp_path: Path) -> None:
    whole = record(tmp_path)
    found = parse(whole.changed(len(whole.events) - 1, end).file())
    assert (found.repaired, found.end_method, found.quitter) == (("end",), "game", None)
    assert set(found.placements) <= {1, 2}


def test_frames_lost_right_before_the_end_are_counted(tmp_path: Path) -> None:
    whole = record(tmp_path)
    found = parse(whole.without(*(at for frame in (75, 76) for at in whole.places(frame)[1:3])).file())
    assert (found.num_frames, found.frame_gaps, found.columns["frame"][-1]) == (198, 2, 74)


def test_a_store_tells_what_was_repaired_and_verifies(tmp_path: Path) -> None:
    whole, folder = record(tmp_path), tmp_path / "in"
    folder.mkdir()
    damaged = whole.without(whole.places(MIDDLE)[1]).file()
    (folder / "a.slp").write_bytes(damaged)
    (folder / "b.slp").write_bytes(record(tmp_path, (3, 6, 0)).file())
    report = ingest([folder], tmp_path / "store", IngestOptions(min_frames=1, workers=1))
    rows = {row["id"]: row for row in Store(tmp_path / "store").replays().collect().to_dicts()}
    row = rows[content_id(damaged)]
    assert (row["repaired"], row["frames"], row["frame_gaps"], row["version"]) == ("events", 199, 1, "3.18.0")
    assert (report.replays_ingested, report.replays_repaired) == (2, sum(bool(r["repaired"]) for r in rows.values()))
    assert report.repairs["events"] == 1
    assert {check.name for check in verify(tmp_path / "store").checks if not check.ok} <= {"leak"}


def test_a_store_from_before_the_column_opens_grows_and_verifies(tmp_path: Path) -> None:
    store, whole = tmp_path / "store", record(tmp_path)
    (tmp_path / "a.slp").write_bytes(whole.file())
    ingest([tmp_path / "a.slp"], store, IngestOptions(min_frames=1, workers=1))
    _take_column_away(store, "repaired")
    assert Store(store).replays().select("repaired").collect()["repaired"].to_list() == [None]
    assert {check.name for check in verify(store).checks if not check.ok} <= {"leak"}
    (tmp_path / "b.slp").write_bytes(whole.without(whole.places(MIDDLE)[1]).file()[:-100])
    ingest([tmp_path / "b.slp"], store, IngestOptions(min_frames=1, workers=1))
    assert Store(store).replays().collect().height == 2


def _take_column_away(store: Path, name: str) -> None:
    path, manifest = store / REPLAYS_NAME, Store(store).manifest
    pl.read_parquet(path).drop(name).write_parquet(path)
    replace(manifest, replays_sha256=sha256_of(path)).save(store)


def test_every_reason_has_a_sentence_and_none_is_a_refusal() -> None:
    assert not REASONS.keys() & (SENTENCES.keys() - {"damaged"})


@pytest.mark.slow
def test_single_events_of_real_games_cost_their_frame_at_most() -> None:
    rng, archive = np.random.default_rng(0), zipfile.ZipFile(replay_archive("falco-129.zip"))
    for name in rng.choice(archive.namelist(), 4):
        raw, metadata = slp.read_slp(archive.read(str(name)))
        events = tuple((command, bytes(payload)) for command, payload in slp.events(raw))
        whole = Recording(events, slp.payload_sizes(raw), metadata)
        expected = parse(whole.file()).columns
        kinds = (FRAME_START, PRE_FRAME, POST_FRAME, BOOKEND)
        for command in kinds:
            places = [at for at, (kind, _) in enumerate(events) if kind == command]
            for place in (places[0], int(rng.choice(places)), places[-1]):
                for damaged in (whole.without(place), whole.with_again(place)):
                    found = parse(damaged.file())
                    lost = set(expected["frame"].tolist()) - set(found.columns["frame"].tolist())
                    assert lost <= {number(events[place][1])}
                    assert_rows(found, _without_copies(expected, found), lost, but="resimulated")


def _without_copies(whole: Columns, found: ParsedReplay) -> dict[str, Any]:
    """The undamaged columns; where the last copy of a frame is lost, an earlier one counts, whose rows differ."""
    rows = np.isin(whole["frame"], found.columns["frame"])
    kept = {name: column.copy() for name, column in whole.items()}
    for name, column in kept.items():
        differs = rows.copy()
        differs[rows] = (column[rows] != found.columns[name]) & whole["resimulated"][rows]
        column[differs] = found.columns[name][differs[rows]]
    return kept

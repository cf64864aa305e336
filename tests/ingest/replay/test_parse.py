from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.errors import ReplayError
from dataset.features.encoder import controller_matrix, encode_columns
from dataset.features.layout import ALL
from dataset.schema import COLUMNS
from dataset.slippi.slp import POST_FRAME, read_events, read_header, read_slp
from dataset.store.frame_table import sample_of
from ingest.replay.parse import ParsedReplay, parse_columns, read_game
from tests.ingest.naive import naive_rows
from tests.ingest.recordings import record

ROLLED_BACK = "mewtwo__slprank+Froggi-Launcher__test__sample-games__direct-set-3__Replay_2_W__333019e9.slp"
ICE_CLIMBERS = "edge__Walnut356+SlippiStats__ics__d202bb6e.slp"
NANA_DIES = "edge__PMcca+go-slippi__sheik_vs_ics_yoshis__f5e4cdf2.slp"
WITH_ITEMS = "game__ReadySetJoe+slp-parser__Game_20250702T124036__c290b965.slp"
"""Old games with Nana, one in which she is away for a while; a new one with rollbacks and five items at once."""


def assert_equal_to_the_naive_reading(path: Path, rollback: str) -> ParsedReplay:
    parsed = parse_columns(path, rollback=rollback)  # type: ignore[arg-type]
    rows = naive_rows(read_game(path).frames, parsed.ports, parsed.stage, rollback)
    names = {name for row in rows for name in row}
    assert parsed.num_frames == len(rows)
    for column in COLUMNS:
        found = parsed.columns.get(column.name)
        if found is None:
            assert column.name not in names or column.since > parsed.version, column.name
            continue
        assert found.dtype == np.dtype(column.dtype), column.name
        expected = np.array([row.get(column.name, 0) for row in rows]).astype(column.dtype)
        np.testing.assert_array_equal(found, expected, err_msg=column.name)
    return parsed


def test_columns_equal_a_naive_reading_frame_by_frame(modern_replays: list[Path]) -> None:
    parsed = assert_equal_to_the_naive_reading(modern_replays[0], "last")
    assert len(parsed.columns) == 151  # all 187 but Nana's 18 a side


def test_columns_of_a_generated_duel_equal_a_naive_reading(duels: Path) -> None:
    assert_equal_to_the_naive_reading(duels / "duel-0.slp", "last")


@pytest.mark.parametrize("rollback", ["last", "first"])
def test_the_rollback_rule_keeps_the_copy_it_names(edge_case_replays: dict[str, Path], rollback: str) -> None:
    parsed = assert_equal_to_the_naive_reading(edge_case_replays[WITH_ITEMS], rollback)
    assert parsed.num_frames == 2165
    assert parsed.frames_resimulated == int(parsed.columns["resimulated"].sum()) > 0
    assert parsed.columns["item0_kind"].any()


def test_first_and_last_copies_differ_where_the_other_player_was_mispredicted(
    edge_case_replays: dict[str, Path],
) -> None:
    first, last = (parse_columns(edge_case_replays[ROLLED_BACK], rollback=rule) for rule in ("first", "last"))
    np.testing.assert_array_equal(first.columns["frame"], last.columns["frame"])
    np.testing.assert_array_equal(first.columns["resimulated"], last.columns["resimulated"])
    differs = first.columns["a_main_x"] != last.columns["a_main_x"]
    assert differs.any()
    assert last.columns["resimulated"][differs].all()
    assert np.all(np.diff(last.columns["frame"]) == 1)
    assert (last.num_frames, last.frame_gaps) == (3971, 0)


def test_nana_has_columns_where_she_lives(edge_case_replays: dict[str, Path]) -> None:
    parsed = assert_equal_to_the_naive_reading(edge_case_replays[ICE_CLIMBERS], "last")
    assert parsed.columns["a_nana_exists"].any()
    assert not parsed.columns["b_nana_exists"].any()
    assert "a_nana_x" in parsed.columns
    assert "b_nana_x" not in parsed.columns


def test_nana_is_where_she_was_recorded_though_an_old_replay_has_frames_without_her(
    edge_case_replays: dict[str, Path],
) -> None:
    path = edge_case_replays[NANA_DIES]
    columns = parse_columns(path, rollback="last").columns
    post = read_events(read_slp(path)[0]).tables[POST_FRAME]
    hers = post[post["is_follower"] == 1]
    assert columns["frame"][columns["b_nana_exists"]].tolist() == hers["frame"].tolist()
    assert columns["frame"][~columns["b_nana_exists"]].tolist() == [*range(3143, 3156), *range(4250, 4668)]
    for name, field in (("x", "position_x"), ("action_state", "state"), ("percent", "percent"), ("stocks", "stocks")):
        np.testing.assert_array_equal(columns[f"b_nana_{name}"][columns["b_nana_exists"]], hers[field])
        assert not columns[f"b_nana_{name}"][~columns["b_nana_exists"]].any()


def test_columns_younger_than_the_replay_are_absent_in_every_version(edge_case_replays: dict[str, Path]) -> None:
    versions = set()
    for name, path in edge_case_replays.items():
        try:
            parsed = parse_columns(path, rollback="last")
        except ReplayError:
            continue
        versions.add(parsed.version)
        recorded = {c.name for c in COLUMNS if c.since <= parsed.version and "_nana_" not in c.name}
        assert {key for key in parsed.columns if "_nana_" not in key} == recorded, name
        assert {"a_nana_exists", "b_nana_exists"} <= parsed.columns.keys()
    assert len(versions) > 10


def test_what_stands_in_the_place_of_a_right_trigger_is_none_before_there_was_one(duels: Path) -> None:
    path = duels / "duel-0.slp"
    assert "a_trigger_r" in parse_columns(path, rollback="last").columns
    old = replace(read_header(path), version=(1, 0, 0))
    columns = parse_columns(path, rollback="last", header=old).columns
    assert not {"a_trigger_r", "b_trigger_r"} & columns.keys()
    assert {"a_trigger_l", "b_trigger_l"} <= columns.keys()


def test_a_path_and_its_bytes_parse_alike(duels: Path, duel_bytes: bytes) -> None:
    from_path = parse_columns(duels / "duel-0.slp", rollback="last")
    from_bytes = parse_columns(duel_bytes, rollback="last")
    assert from_path.header == from_bytes.header
    for name, column in from_path.columns.items():
        np.testing.assert_array_equal(column, from_bytes.columns[name])


def test_what_the_game_start_and_end_say(tmp_path: Path) -> None:
    path = tmp_path / "duel.slp"
    generate_replay(path, seed=5, characters=("mewtwo", "marth"), stage="battlefield", frames=300, ports=(4, 2))
    parsed = parse_columns(path, rollback="last")
    assert (parsed.version, parsed.ports, parsed.stage) == ((3, 18, 0), (2, 4), 4)
    assert parsed.characters == (18, 16)  # the lower port is side a, whoever plays there
    assert (parsed.num_frames, parsed.frame_gaps, parsed.frames_resimulated) == (300, 0, 0)
    assert parsed.columns["frame"][0] == -123
    assert (parsed.end_method, parsed.quitter, parsed.off_lattice, parsed.non_finite) == ("time", None, 0, {})


def test_a_sample_holds_both_sides_controllers_and_the_encoded_frames(duels: Path) -> None:
    parsed, codec = parse_columns(duels / "duel-1.slp", rollback="last"), get_codec("axis17")
    sample = sample_of({"id": "0" * 32} | parsed.played, parsed.columns, codec, ALL)
    assert (sample.ports, sample.characters, sample.stage) == ((1, 2), (16, 1), 5)
    np.testing.assert_array_equal(sample.frames, parsed.columns["frame"])
    np.testing.assert_array_equal(sample.encoded.continuous, encode_columns(parsed.columns).continuous)
    for row, side in enumerate("ab"):
        np.testing.assert_array_equal(sample.classes[row].T, codec.encode(controller_matrix(parsed.columns, side)))


def test_a_panic_of_the_parser_is_a_reason_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = record(tmp_path)
    posts = [at for at, (command, payload) in enumerate(whole.events) if command == POST_FRAME and payload[4] == 0]
    data = whole.without(*posts).file()
    with pytest.raises(ReplayError, match="peppi cannot read it") as caught:
        parse_columns(data, rollback="last")
    assert caught.value.reason == "parser_panic"
    assert capfd.readouterr().err == ""
    with pytest.raises(ReplayError):
        parse_columns(data, rollback="last", is_verbose=True)
    assert "panicked" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad__altf4+libmelee__corrupt_game_3__5b857a83.slp", "no_payload_sizes"),
        ("bad__andrew-epstein+slippc__crash6__6cccfed0.slp", "unknown_event"),
        ("bad__andrew-epstein+slippc__crash7__07a010d5.slp", "truncated"),
        ("bad__project-slippi+slippi-js__Event__580ebe9f.slp", "unknown_end_method"),
        ("edge__PMcca+go-slippi__doubles__97b3db00.slp", "not_two_players"),
    ],
)
def test_real_files_that_cannot_be_parsed_say_why(edge_case_replays: dict[str, Path], name: str, reason: str) -> None:
    with pytest.raises(ReplayError) as caught:
        parse_columns(edge_case_replays[name], rollback="last")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "frames", "reasons"),
    [
        ("bad__LiamPack+slippi_parser__raw__ad883f55.slp", 1000, "container,cut"),
        ("bad__Walnut356+SlippiStats__unknown_event__cdd6f003.slp", 5209, "header"),
        ("bad__andrew-epstein+slippc__crash4__88ed0974.slp", 121, "damaged,events"),
        ("bad__andrew-epstein+slippc__crash9__d8c9eda2.slp", 124, "header"),
        ("bad__andrew-epstein+slippc__crash11__dea8946c.slp", 123, "events"),
        ("bad__hohav+py-slippi__severed_metadata__9a863a42.slp", 2891, "container,cut"),
        ("bad__ipowell+slippi-parse__test__1dae191e.slp", 7342, "bookends"),
        ("bad__noahpodgurski+MeleeGuessr__new-scripts__sliced__2208049e.slp", 1000, "container,cut"),
        ("bad__noahpodgurski+MeleeGuessr__slp-test__test__a590a5ae.slp", 3325, "damaged,events"),
        ("bad__project-slippi+slippi-js__Whispy__bb92c5ba.slp", 10373, "payloads"),
        ("bad__project-slippi+slippi-js__slp__placementsTest__ffa_1p2p_winner_2p__fef9f501.slp", 312, "end"),
    ],
)
def test_real_files_that_peppi_refuses_are_read_as_far_as_they_are_whole(
    edge_case_replays: dict[str, Path], name: str, frames: int, reasons: str
) -> None:
    parsed = parse_columns(edge_case_replays[name], rollback="last")
    assert parsed.num_frames == frames
    assert ",".join(parsed.repaired) == reasons or (reasons == "bookends" and not parsed.repaired)


def test_an_interrupt_is_not_taken_for_a_panic(duels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ingest.replay.parse._peppi.read_slippi", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parse_columns(duels / "duel-0.slp", rollback="last")

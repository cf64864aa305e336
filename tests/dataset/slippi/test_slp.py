import io
import os
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import ReplayError
from dataset.slippi import slp


def real_replays(archive: str) -> Iterator[tuple[str, bytes]]:
    """Members of one archive of real replays; the test is skipped where there is none."""
    folder = Path(os.environ.get("EXPHIL_REPLAYS", Path(__file__).parents[4] / "shared" / "replays"))
    if not (folder / archive).is_file():
        pytest.skip(f"no {archive} in $EXPHIL_REPLAYS")
    with zipfile.ZipFile(folder / archive) as members:
        for name in sorted(members.namelist()):
            yield name, members.read(name)


def game_start(**players: int) -> slp.Table:
    start = np.zeros(1, slp.LAYOUTS[slp.GAME_START])
    start["version"] = [3, 18, 0, 0]
    start["stage"] = 32
    start["players"]["kind"] = 3
    for name, character in players.items():
        start["players"][0, int(name[1]) - 1]["kind"] = 0
        start["players"][0, int(name[1]) - 1]["character"] = character
    return start


def two_frames() -> dict[int, slp.Table]:
    """Events of frames -123 and -122 of two ports, each number distinct."""
    tables = {command: np.zeros(2, slp.LAYOUTS[command]) for command in (slp.FRAME_START, slp.BOOKEND)}
    tables |= {command: np.zeros(4, slp.LAYOUTS[command]) for command in (slp.PRE_FRAME, slp.POST_FRAME)}
    tables[slp.ITEM] = np.zeros(1, slp.LAYOUTS[slp.ITEM])
    for table in tables.values():
        table["frame"] = -123 + np.arange(len(table)) * 2 // len(table)
    for command in (slp.PRE_FRAME, slp.POST_FRAME):
        tables[command]["port"] = [0, 1, 0, 1]
        tables[command]["position_x"] = [1.5, -2.5, 3.5, -4.5]
    tables[slp.ITEM]["type"] = 0x70
    return tables


def written(**kwargs: object) -> bytes:
    end = np.zeros(1, slp.LAYOUTS[slp.GAME_END])
    end["method"] = 2
    return slp.build_slp(start=game_start(p1=10, p2=2), frames=two_frames(), end=end, metadata=kwargs)


def test_layouts_have_the_payload_sizes_of_slippi_3_18() -> None:
    assert {command: layout.itemsize for command, layout in slp.LAYOUTS.items()} == {
        slp.GAME_START: 760,
        slp.PRE_FRAME: 66,
        slp.POST_FRAME: 84,
        slp.GAME_END: 6,
        slp.FRAME_START: 12,
        slp.ITEM: 44,
        slp.BOOKEND: 8,
        slp.FOD_PLATFORM: 9,
        slp.WHISPY: 5,
        slp.STADIUM: 8,
    }


def test_fields_lie_at_the_offsets_of_the_specification() -> None:
    def offset(command: int, name: str) -> int:
        fields = slp.LAYOUTS[command].fields
        assert fields is not None
        return fields[name][1] + 1  # the specification counts the command byte

    pre = ["state", "joystick_x", "trigger", "buttons", "buttons_physical", "raw_x", "percent", "raw_y"]
    post = ["character", "position_x", "stocks", "state_age", "misc_as", "jumps", "self_x_air", "hitlag", "instance_id"]
    assert [offset(slp.PRE_FRAME, n) for n in pre] == [0xB, 0x19, 0x29, 0x2D, 0x31, 0x3B, 0x3C, 0x40]
    assert [offset(slp.POST_FRAME, n) for n in post] == [0x7, 0xA, 0x21, 0x22, 0x2B, 0x32, 0x35, 0x49, 0x53]
    item = ["type", "velocity_x", "position_x", "timer", "spawn_id", "owner"]
    assert [offset(slp.ITEM, n) for n in item] == [0x5, 0xC, 0x14, 0x1E, 0x22, 0x2A]


def test_events_come_in_slippis_order_within_each_frame() -> None:
    raw, _ = slp.read_slp(written())
    first = [0x3A, 0x37, 0x37, 0x3B, 0x38, 0x38, 0x3C]
    second = [0x3A, 0x37, 0x37, 0x38, 0x38, 0x3C]
    assert [command for command, _ in slp.events(raw)] == [0x36, *first, *second, 0x39]


def test_what_is_written_is_read_back() -> None:
    raw, metadata = slp.read_slp(written(lastFrame=-122, players={"0": {"names": {"code": "A#1"}}}))
    found = slp.read_events(raw).tables
    assert metadata == {"lastFrame": -122, "players": {"0": {"names": {"code": "A#1"}}}}
    for command, table in two_frames().items():
        np.testing.assert_array_equal(found[command], table)


def test_a_table_with_another_layout_is_refused_by_the_writer() -> None:
    frames = two_frames()
    frames[slp.ITEM] = frames[slp.BOOKEND]
    with pytest.raises(ValueError, match="event 0x3B must have the layout"):
        slp.build_slp(start=game_start(p1=1), frames=frames, end=np.zeros(1, slp.LAYOUTS[slp.GAME_END]), metadata={})


def test_a_header_names_ports_and_external_ids() -> None:
    start = game_start(p2=10, p4=2)
    start["players"][0, 3]["kind"] = 1
    start["players"][0, 3]["cpu_level"] = 9
    start["connect_code"][0, 1] = "AB＃1".encode("shift-jis")
    start["display_name"][0, 1] = "ばか".encode("shift-jis")
    start["match_id"] = b"mode.direct-x"
    start["game_number"] = 3
    start["tiebreaker"] = 1
    start["random_seed"] = 12
    assert slp.header_of(start.tobytes()) == slp.Header(
        version=(3, 18, 0),
        stage=32,
        players=(
            slp.HeaderPlayer(
                port=2, character=10, kind="human", cpu_level=None, connect_code="AB#1", display_name="ばか"
            ),
            slp.HeaderPlayer(port=4, character=2, kind="cpu", cpu_level=9, connect_code=None, display_name=None),
        ),
        is_pal=False,
        is_frozen=False,
        match_id="mode.direct-x",
        game_number=3,
        tiebreaker=1,
        is_teams=False,
        random_seed=12,
    )


def test_fields_younger_than_the_replay_are_none() -> None:
    header = slp.header_of(game_start(p1=10).tobytes()[:0x140])
    assert (header.is_pal, header.is_frozen, header.match_id, header.game_number) == (None, None, None, None)
    assert header.players[0].connect_code is None


def test_a_header_needs_only_the_first_bytes_of_a_file() -> None:
    class Prefix(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size == slp.HEADER_BYTES
            return super().read(size)

    data = written() + b"\0" * 100_000
    assert slp.read_header(Prefix(data)).players[0].character == 10
    assert slp.read_header(data[:900]).stage == 32


def test_a_header_is_read_from_an_unfinished_file() -> None:
    data = bytearray(written())
    data[len(slp.RAW_PREFIX) : len(slp.RAW_PREFIX) + 4] = b"\0" * 4
    assert slp.read_header(bytes(data)).stage == 32
    with pytest.raises(ReplayError) as caught:
        slp.read_slp(bytes(data))
    assert caught.value.reason == "unfinished"


def test_messages_end_at_game_start_frame_end_and_game_end() -> None:
    raw, _ = slp.read_slp(written())
    messages = slp.split_messages(raw)
    assert b"".join(messages) == raw
    assert [message[0] for message in messages] == [0x35, 0x3A, 0x3A, 0x39]
    assert [len(message) for message in messages[1:]] == [13 + 2 * 67 + 45 + 2 * 85 + 9, 13 + 2 * 67 + 2 * 85 + 9, 7]


def test_gecko_pieces_are_messages_of_their_own() -> None:
    raw = bytes([0x35, 7, 0x36, 0, 1, 0x10, 0, 2]) + b"\x36s" + b"\x10aa\x10bb"
    assert slp.split_messages(raw) == [raw[:10], b"\x10aa", b"\x10bb"]


def test_an_unfinished_last_frame_is_not_a_message() -> None:
    raw, _ = slp.read_slp(written())
    assert slp.split_messages(raw[: -7 - 9])[-1][:5] == b"\x3a" + (-123).to_bytes(4, "big", signed=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_slp"),
        (b"PK\3\4" * 9, "not_slp"),
        (slp.pack(b"abc", {}), "no_payload_sizes"),
        (slp.pack(b"\x35\x04\x36\x00\x02\x36ab\x77", {}), "unknown_event"),
        (slp.pack(b"\x35\x04\x36\x00\x02\x36a", {}), "truncated"),
        (slp.pack(b"\x35\x04\x36\x00\x02\x36ab", {})[:20], "truncated"),
        (slp.pack(b"\x35\x04\x36\x00\x02\x36ab", {"a": "b"})[:-4], "bad_metadata"),
    ],
)
def test_a_bad_file_is_a_replay_error_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ReplayError) as caught:
        slp.read_events(slp.read_slp(data)[0])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x35\x04\x36\x00\x02\x36ab", "bad_game_start"),
        (b"\x35\x04\x37\x00\x02\x37ab", "no_game_start"),
    ],
)
def test_a_header_without_a_whole_game_start_is_a_replay_error(raw: bytes, reason: str) -> None:
    with pytest.raises(ReplayError) as caught:
        slp.read_header(slp.pack(raw, {}))
    assert caught.value.reason == reason


def test_every_other_kind_of_metadata_is_read() -> None:
    tail = (
        b"{U\x01aZU\x01bTU\x01ci\xffU\x01d[$U#U\x02\x01\x02U\x01e[FCxD\x3f\xf0\0\0\0\0\0\0]U\x01fL\0\0\0\0\0\0\0\x09}"
    )
    data = slp.RAW_PREFIX + b"\0\0\0\x01r" + slp.METADATA_KEY + tail + b"}"
    assert slp.read_slp(data) == (b"r", {"a": None, "b": True, "c": -1, "d": [1, 2], "e": [False, "x", 1.0], "f": 9})


def test_real_replays_are_rewritten_byte_for_byte() -> None:
    for name, data in real_replays("modern.zip"):
        raw, metadata = slp.read_slp(data)
        assert slp.write_events(slp.read_events(raw), slp.payload_sizes(raw)) == raw, name
        assert slp.pack(raw, metadata) == data, name
        assert b"".join(slp.split_messages(raw)) == raw, name


def test_headers_of_real_replays_agree_with_peppi(tmp_path: Path) -> None:
    peppi = pytest.importorskip("peppi_py")._peppi
    versions = set()
    for name, data in real_replays("edge-cases.zip"):
        if name.startswith("bad"):
            continue
        (tmp_path / "replay.slp").write_bytes(data)
        header = slp.read_header(data)
        try:
            start = peppi.read_slippi(str(tmp_path / "replay.slp"), True).start
        except OSError:  # unfinished files: the header is there, peppi asks for the whole
            continue
        versions.add(header.version)
        match = start.get("match") or {"id": None, "game": None, "tiebreaker": None}
        assert header == slp.Header(
            version=tuple(start["slippi"]["version"]),
            stage=start["stage"],
            players=tuple(_peppi_player(player) for player in start["players"]),
            is_pal=start.get("is_pal"),
            is_frozen=start.get("is_frozen_ps"),
            match_id=match["id"] or None,
            game_number=match["game"] or None,
            tiebreaker=match["tiebreaker"],
            is_teams=start["is_teams"],
            random_seed=start["random_seed"],
        ), name
    assert len(versions) > 10


def _peppi_player(player: dict[str, Any]) -> slp.HeaderPlayer:
    netplay = player.get("netplay") or {"code": "", "name": ""}
    return slp.HeaderPlayer(
        port=int(player["port"][1]),
        character=player["character"],
        kind=player["type"].lower(),
        cpu_level=player["cpu_level"],
        connect_code=unicodedata.normalize("NFKC", netplay["code"]) or None,
        display_name=netplay["name"] or None,
    )

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dataset.duels.generate import generate_replay, generate_replays
from dataset.errors import ConfigError
from dataset.melee import ids
from dataset.melee.controller import START, A, B, L, R, X, Y, Z, game_stick, game_trigger
from dataset.schema import FIRST_CONTROLLED_FRAME
from dataset.slippi import slp

LATTICE = {game_stick(x, y) for x in range(-128, 128) for y in range(-128, 128)}


def events(path: Path) -> dict[int, slp.Table]:
    return dict(slp.read_events(slp.read_slp(path)[0]).tables)


def of_port(table: slp.Table, port: int) -> slp.Table:
    found: slp.Table = table[table["port"] == port - 1]
    return found


def stick_steps(pre: slp.Table) -> npt.NDArray[np.int64]:
    names = ["joystick_x", "joystick_y", "cstick_x", "cstick_y"]
    return np.stack([np.rint(pre[name].astype(float) * 80) for name in names], axis=1).astype(np.int64)


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole default game."""
    path = tmp_path_factory.mktemp("duel") / "game.slp"
    generate_replay(path, seed=7)
    return path


@pytest.fixture(scope="module")
def fountain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cut game on Fountain of Dreams between ports 2 and 4, with platforms and shots."""
    path = tmp_path_factory.mktemp("duel") / "fountain.slp"
    generate_replay(path, seed=0, characters=("falco", "mewtwo"), stage="fountain_of_dreams", frames=2400, ports=(4, 2))
    return path


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "drill.slp"
    generate_replay(path, seed=0, script="drill")
    return path


def test_equal_arguments_give_equal_bytes_and_seeds_give_different_games(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate_replay(tmp_path / name, seed=seed, frames=600)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not np.array_equal(events(tmp_path / "a")[slp.PRE_FRAME], events(tmp_path / "c")[slp.PRE_FRAME])


def test_a_replay_says_that_it_is_generated(fountain: Path) -> None:
    assert slp.read_slp(fountain)[1] == {
        "startAt": "2026-01-01T00:00:00Z",
        "lastFrame": 2276,
        "players": {
            "1": {"names": {"netplay": "Duelist 2", "code": "DUEL#2"}, "characters": {"16": 2400}},
            "3": {"names": {"netplay": "Duelist 4", "code": "DUEL#4"}, "characters": {"22": 2400}},
        },
        "playedOn": "exphil duel",
    }
    header = slp.read_header(fountain)
    assert (header.match_id, header.game_number, header.stage) == ("generated-0", 1, 2)
    assert [(player.port, player.character) for player in header.players] == [(2, 10), (4, 20)]


@pytest.mark.parametrize("name", ["mewtwo", "fox", "falco", "marth", "sheik", "peach"])
def test_the_start_names_external_ids_and_the_frames_internal_ones(tmp_path: Path, name: str) -> None:
    generate_replay(tmp_path / "ditto.slp", seed=1, characters=(name, name), frames=200)
    known = ids.character_from_name(name)
    assert {player.character for player in slp.read_header(tmp_path / "ditto.slp").players} == {known.external}
    assert set(events(tmp_path / "ditto.slp")[slp.POST_FRAME]["character"].tolist()) == {known.internal}


def test_peppi_reads_every_field_that_was_written(fountain: Path) -> None:
    peppi = pytest.importorskip("peppi_py")._peppi
    frames = peppi.read_slippi(str(fountain), False).frames
    tables = events(fountain)
    np.testing.assert_array_equal(np.asarray(frames.field("id")), tables[slp.FRAME_START]["frame"])
    assert np.asarray(frames.field("id")).tolist() == list(range(-123, 2277))
    for port in (2, 4):
        leader = frames.field("ports").field(f"P{port}").field("leader")
        for name, command in (("pre", slp.PRE_FRAME), ("post", slp.POST_FRAME)):
            table = of_port(tables[command], port)
            written = _columns(table)[3:]  # frame, port and follower are peppi's keys, not its columns
            read = _leaves(leader.field(name))
            assert len(read) == len(written)
            for (label, column), expected in zip(read, written, strict=True):
                np.testing.assert_array_equal(column, expected, err_msg=label)
    for name, command in (("item", slp.ITEM), ("fod_platform", slp.FOD_PLATFORM)):
        read = _leaves(frames.field(name).values)
        for (label, column), expected in zip(read, _columns(tables[command])[1:], strict=True):
            np.testing.assert_array_equal(column, expected, err_msg=label)
        counts = np.diff(np.asarray(frames.field(name).offsets))
        np.testing.assert_array_equal(np.repeat(np.asarray(frames.field("id")), counts), tables[command]["frame"])


def _leaves(array: Any, label: str = "") -> list[tuple[str, npt.NDArray[Any]]]:
    if array.type.num_fields == 0:
        return [(label, np.asarray(array))]
    names = [array.type[i].name for i in range(array.type.num_fields)]
    return [leaf for name in names for leaf in _leaves(array.field(name), f"{label}.{name}")]


def _columns(table: slp.Table) -> list[npt.NDArray[Any]]:
    found: list[npt.NDArray[Any]] = []
    for name in table.dtype.names or ():
        column = table[name]
        found += [column] if column.ndim == 1 else list(column.T)
    return found


def test_libmelee_reads_the_same_values(fountain: Path) -> None:
    melee = pytest.importorskip("melee")
    console = melee.Console(is_dolphin=False, path=str(fountain), allow_old_version=False)
    assert console.connect()
    tables = events(fountain)
    pre, post, items = tables[slp.PRE_FRAME], tables[slp.POST_FRAME], tables[slp.ITEM]
    heights = {0: np.float32(28), 1: np.float32(20)}  # platform 0 is the right one
    platforms = tables[slp.FOD_PLATFORM]
    frame = -123
    while (state := console.step()) is not None:
        for row in platforms[platforms["frame"] == frame]:
            heights[int(row["platform"])] = row["height"]
        assert state.frame == frame
        assert sorted(state.players) == [2, 4]
        assert (state.fod_platforms.right, state.fod_platforms.left) == (heights[0], heights[1])
        for side, port in enumerate((2, 4)):
            row = 2 * (frame + 123) + side
            _assert_player(console, state.players[port], pre[row], post[row])
        _assert_shots(state.projectiles, items[items["frame"] == frame])
        frame += 1
    assert frame == 2277


def _assert_player(console: Any, player: Any, pre: np.void, post: np.void) -> None:
    """Compare with libmelee's player, through what libmelee does to each column."""
    state, character = int(post["state"]), int(post["character"])
    is_shifted = state in console.zero_indices[character]
    controller = player.controller_state
    assert player.character.value == character
    assert player.action.value == state
    assert player.action_frame == int(post["state_age"]) + is_shifted
    plain = ["percent", "shield_strength", "stock", "jumps_left", "speed_air_x_self", "speed_y_self"]
    plain += ["speed_x_attack", "speed_y_attack", "speed_ground_x_self", "hitlag_left", "hitstun_frames_left"]
    names = ["percent", "shield", "stocks", "jumps", "self_x_air", "self_y"]
    names += ["knockback_x", "knockback_y", "self_x_ground", "hitlag", "misc_as"]
    assert [getattr(player, name) for name in plain] == [post[name] for name in names]
    assert (player.position.x, player.position.y) == (post["position_x"], post["position_y"])
    assert player.facing == (post["direction"] > 0)
    assert player.on_ground == (not post["airborne"])
    assert player.invulnerable == (post["hurtbox_state"] != 0)
    half = np.float32(0.5)
    assert controller.main_stick == (pre["joystick_x"] * half + half, pre["joystick_y"] * half + half)
    assert controller.c_stick == (pre["cstick_x"] * half + half, pre["cstick_y"] * half + half)
    assert controller.raw_main_stick == (pre["raw_x"], pre["raw_y"])
    assert controller.l_shoulder == controller.r_shoulder == pre["trigger"]
    bits = {
        "A": A,
        "B": B,
        "X": X,
        "Y": Y,
        "Z": Z,
        "L": L,
        "R": R,
        "START": START,
    }
    pressed = {button.value: is_on for button, is_on in controller.button.items()}
    processed = {button.value: is_on for button, is_on in controller.processed_button.items()}
    for name, bit in bits.items():
        assert pressed[name] == bool(pre["buttons_physical"] & bit)
        assert processed[name] == bool(pre["buttons"] & bit)


def _assert_shots(shots: list[Any], rows: slp.Table) -> None:
    assert [(shot.type.value, shot.owner, shot.spawn_id, shot.subtype, shot.expiration_frames) for shot in shots] == [
        (row["type"], row["owner"] + 1, row["spawn_id"], row["state"], int(row["timer"])) for row in rows
    ]
    assert [(shot.position.x, shot.position.y, shot.speed.x, shot.speed.y) for shot in shots] == [
        tuple(row[name] for name in ("position_x", "position_y", "velocity_x", "velocity_y")) for row in rows
    ]


def test_controllers_are_what_the_game_makes_of_their_raw_bytes(fountain: Path) -> None:
    pre = events(fountain)[slp.PRE_FRAME]
    raw = np.stack([pre[name] for name in ["raw_x", "raw_y", "raw_cstick_x", "raw_cstick_y"]], axis=1).tolist()
    assert stick_steps(pre).tolist() == [
        [*game_stick(x, y), *game_stick(cstick_x, cstick_y)] for x, y, cstick_x, cstick_y in raw
    ]
    triggers = np.stack([pre[name] for name in ["l_physical", "r_physical", "trigger"]], axis=1).astype(float)
    for (left, right, trigger), buttons in zip(triggers * 140, pre["buttons_physical"].tolist(), strict=True):
        assert round(trigger) == game_trigger(round(left), round(right), buttons)
    low = pre["buttons"] & 0xFFFF
    np.testing.assert_array_equal(low, pre["buttons_physical"] | np.where(pre["buttons_physical"] & Z, A, 0))


def test_a_game_uses_the_whole_lattice_and_every_kind_of_button(game: Path) -> None:
    pre = events(game)[slp.PRE_FRAME]
    sticks = stick_steps(pre)
    main = set(map(tuple, sticks[:, :2].tolist()))
    assert main <= LATTICE
    assert len(main) > 100
    triggers = set(np.rint(pre["trigger"].astype(float) * 140).astype(int).tolist())
    assert triggers <= {0, *range(43, 141)}
    assert len(triggers) > 10
    assert {0, 49, 140} <= triggers
    used = int(np.bitwise_or.reduce(pre["buttons_physical"]))
    assert used == A | B | X | Y | Z | L | R


def test_the_row_of_a_jump_press_already_shows_the_jump(tmp_path: Path) -> None:
    own, before, frames = [], [], 0
    for path in generate_replays(tmp_path, 5, seed=40):
        tables = events(path)
        frames += len(tables[slp.FRAME_START])
        for port in (1, 2):
            pre, post = of_port(tables[slp.PRE_FRAME], port), of_port(tables[slp.POST_FRAME], port)
            presses = (pre["buttons_physical"] & (X | Y)) > 0
            onsets = np.flatnonzero(presses[1:] & ~presses[:-1]) + 1
            own.append(post["state"][onsets] == ids.KNEE_BEND)
            before.append(post["state"][onsets - 1] == ids.KNEE_BEND)
    num_onsets = sum(map(len, own))
    assert num_onsets / 2 >= 200 * frames / (4 * 60 * 60)
    assert np.concatenate(own).mean() >= 0.4
    assert np.concatenate(before).mean() <= 0.05


def test_a_jump_press_on_the_ground_crouches_and_in_the_air_takes_a_jump(game: Path) -> None:
    tables = events(game)
    kinds = {"crouch": 0, "air jump": 0}
    for port in (1, 2):
        pre, post = of_port(tables[slp.PRE_FRAME], port), of_port(tables[slp.POST_FRAME], port)
        presses = (pre["buttons_physical"] & (X | Y)) > 0
        for row in np.flatnonzero(presses[1:] & ~presses[:-1]) + 1:
            was, now = post[row - 1], post[row]
            if now["state"] == ids.KNEE_BEND:
                assert not was["airborne"]
                kinds["crouch"] += 1
            elif was["airborne"] and now["state"] in (27, 28) and was["state"] != now["state"]:
                assert now["jumps"] == was["jumps"] - 1
                kinds["air jump"] += 1
    assert min(kinds.values()) > 20


def test_copying_the_last_controller_misses_often(game: Path) -> None:
    tables = events(game)
    for port in (1, 2):
        sticks = stick_steps(of_port(tables[slp.PRE_FRAME], port))[:, :2]
        assert (sticks[1:] == sticks[:-1]).all(axis=1).mean() < 0.85


def test_players_mind_what_the_other_does(tmp_path: Path) -> None:
    """A shield rises far more often while the foe attacks near by than while it does not."""
    shields: dict[bool, list[bool]] = {True: [], False: []}
    for path in generate_replays(tmp_path, 3, seed=60):
        tables = events(path)
        mine, foes = (of_port(tables[slp.POST_FRAME], port) for port in (1, 2))
        trigger = of_port(tables[slp.PRE_FRAME], 1)["trigger"]
        for row in range(10, len(mine)):
            seen = row - 4
            is_near = abs(foes["position_x"][seen] - mine["position_x"][row - 1]) < 26
            if mine["state"][row - 1] == 14 and is_near:
                shields[44 <= foes["state"][seen] <= 69].append(trigger[row] > 0)
    assert np.mean(shields[True]) > 5 * np.mean(shields[False])


def test_a_whole_game_ends_when_one_player_has_no_stocks(game: Path) -> None:
    tables = events(game)
    last = [of_port(tables[slp.POST_FRAME], port)["stocks"] for port in (1, 2)]
    assert [stocks[0] for stocks in last] == [4, 4]
    assert min(stocks[-1] for stocks in last) == 0 < max(stocks[-1] for stocks in last)
    for stocks in last:
        assert set(np.diff(stocks.astype(int)).tolist()) <= {0, -1}
    loser = int(np.argmin([stocks[-1] for stocks in last]))
    end = tables[slp.GAME_END]
    assert (int(end["method"][0]), int(end["quitter"][0])) == (2, -1)
    assert end["placements"][0].tolist() == ([1, 0, -1, -1] if loser == 0 else [0, 1, -1, -1])
    assert slp.read_slp(game)[1]["lastFrame"] == tables[slp.BOOKEND]["frame"][-1]


def test_frames_cut_a_game_by_the_clock(tmp_path: Path) -> None:
    generate_replay(tmp_path / "short.slp", seed=1, frames=333)
    tables = events(tmp_path / "short.slp")
    assert tables[slp.FRAME_START]["frame"].tolist() == list(range(-123, 210))
    assert int(tables[slp.GAME_END]["method"][0]) == 1


def test_hits_show_hitlag_hitstun_knockback_and_percent(game: Path) -> None:
    post = of_port(events(game)[slp.POST_FRAME], 1)
    hits = np.flatnonzero(np.diff(post["percent"].astype(float)) > 5) + 1
    assert len(hits) > 20
    assert (post["hitlag"][hits] >= 4).all()
    assert (post["misc_as"][hits] >= 8).all()
    assert (np.abs(post["knockback_x"][hits]) + np.abs(post["knockback_y"][hits]) > 0.5).all()
    stunned = (post["state_flags"][:, 3] & 2) > 0
    np.testing.assert_array_equal(stunned, post["misc_as"] > 0)


def test_a_hit_is_recorded_under_melees_number_of_the_attack(game: Path) -> None:
    victim, attacker = (of_port(events(game)[slp.POST_FRAME], port) for port in (1, 2))
    hits = np.flatnonzero(np.diff(victim["percent"].astype(float)) > 5) + 1
    landed, states = attacker["last_attack_landed"][hits], attacker["state"][hits]
    is_aerial = (states >= 65) & (states <= 69)
    assert set(landed[is_aerial] - (states[is_aerial] - 52)) == {0}  # neutral air: state 65, attack 13
    assert set(landed) <= {2, *range(6, 19), 53}


def test_mewtwo_fires_shadow_balls_and_owns_them(fountain: Path) -> None:
    items = events(fountain)[slp.ITEM]
    balls = items[items["type"] == 0x70]
    assert set(balls["owner"].tolist()) == {1}
    assert set(balls["state"].tolist()) == {0, 1}
    assert set(items["type"].tolist()) == {0x70, 0x37}
    assert (np.abs(balls["velocity_x"]) == np.where(balls["state"] == 1, np.float32(1.6), 0)).all()


def test_controllers_rest_until_the_game_listens(drilled: Path) -> None:
    pre = of_port(events(drilled)[slp.PRE_FRAME], 1)
    presses = pre["frame"][pre["buttons_physical"] > 0]
    assert presses[0] == FIRST_CONTROLLED_FRAME + 20


def test_fountain_platforms_move_on_from_where_the_stage_puts_them(fountain: Path) -> None:
    moves = events(fountain)[slp.FOD_PLATFORM]
    for platform, height in ((0, 28.0), (1, 20.0)):
        heights = [height, *moves["height"][moves["platform"] == platform].tolist()]
        assert len(heights) > 60
        assert max(abs(np.diff(heights))) < 0.5


def test_the_drill_cannot_be_reproduced_from_what_is_visible(drilled: Path) -> None:
    tables = events(drilled)
    for port in (1, 2):
        pre, post = of_port(tables[slp.PRE_FRAME], port), of_port(tables[slp.POST_FRAME], port)
        names = [name for name in post.dtype.names or () if name not in ("frame", "instance_id")]
        seen = [str(row) for row in post[names]]
        controllers = [str(row) for row in pre[["joystick_x", "joystick_y", "cstick_x", "trigger", "buttons"]]]
        following: dict[tuple[str, str], list[str]] = {}
        for row in range(85, len(seen) - 1):
            following.setdefault((seen[row], controllers[row]), []).append(controllers[row + 1])
        waits = max(following.values(), key=len)  # one visible state, followed by…
        assert len(waits) > 30
        assert len(set(waits)) > 1


def test_the_drill_repeats_itself_exactly_and_nobody_is_hit(tmp_path: Path) -> None:
    generate_replay(tmp_path / "drill.slp", seed=9, script="drill", frames=84 + 3 * 229)
    tables = events(tmp_path / "drill.slp")
    for port in (1, 2):
        pre, post = of_port(tables[slp.PRE_FRAME], port)[84:], of_port(tables[slp.POST_FRAME], port)
        rounds = np.split(stick_steps(pre), 3)
        np.testing.assert_array_equal(rounds[0], rounds[1])
        np.testing.assert_array_equal(rounds[0], rounds[2])
        assert not post["percent"].any()
        states = set(post["state"].tolist())
        assert {14, 18, 20, 24, 25, 44, 56, 66, 178, 179} <= states


def test_a_folder_of_replays_holds_mewtwo_distinct_matches_and_several_stages(tmp_path: Path) -> None:
    paths = generate_replays(tmp_path / "new" / "folder", 6, seed=90)
    headers = [slp.read_header(path) for path in paths]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == paths
    assert [header.match_id for header in headers] == [f"generated-{seed}" for seed in range(90, 96)]
    assert {header.stage for header in headers} == {2, 3, 8, 28, 31, 32}
    assert [header.players[0].character for header in headers] == [10] * 6
    assert len({header.players[1].character for header in headers}) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"characters": ("mewtwo", "kirby")}, "use one of falco, fox"),
        ({"ports": (1, 1)}, "two different ports"),
        ({"ports": (0, 1)}, "two different ports"),
        ({"seed": -1}, "must be 0 or more"),
        ({"frames": 0}, "must be 1 to 28800"),
        ({"script": "dance"}, "'dance': unknown; use one of duel, drill"),
        ({"stage": "moon"}, "moon"),
    ],
)
def test_a_wrong_argument_is_a_config_error(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate_replay(tmp_path / "never.slp", **{"seed": 0, **wrong})
    assert not (tmp_path / "never.slp").exists()

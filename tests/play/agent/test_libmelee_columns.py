"""Live frames by hand: every row of the raw column, the sides, Nana, items and the shift of action frames."""

import melee
import numpy as np
import pytest
from melee.gamestate import Projectile, UnknownAnimation, UnknownProjectileType

from dataset.errors import DolphinError
from dataset.features.layout import RAW_NAMES
from play.agent.libmelee import LiveGame, two_ports

FALCO_LASER = 0x37


def fighter(**values: object) -> melee.PlayerState:
    player = melee.PlayerState(
        character=melee.Character.FALCO,
        action=melee.Action.STANDING,
        position=melee.Position(np.float32(-12.5), np.float32(0.25)),
        percent=np.float32(34.5),
        shield_strength=np.float32(55.0),
        stock=np.uint8(3),
        facing=np.bool_(False),
        action_frame=7,
        invulnerable=True,
        hitlag_left=4,
        hitstun_frames_left=11,
        jumps_left=np.uint8(2),
        on_ground=False,
        speed_air_x_self=np.float32(1.5),
        speed_y_self=np.float32(-2.5),
        speed_x_attack=np.float32(0.5),
        speed_y_attack=np.float32(0.75),
        speed_ground_x_self=np.float32(-1.25),
    )
    for name, value in values.items():
        setattr(player, name, value)
    return player


def game(
    low: melee.PlayerState, high: melee.PlayerState, *items: Projectile, ports: tuple[int, int] = (2, 4)
) -> melee.GameState:
    return melee.GameState(
        frame=np.int32(60),
        stage=melee.Stage.YOSHIS_STORY,
        players={np.uint8(ports[1]): high, np.uint8(ports[0]): low},
        projectiles=list(items),
    )


def item(spawn_id: int, owner: int, x: float = 0.0, kind: int = FALCO_LASER) -> Projectile:
    try:
        type_ = melee.ProjectileType(kind)
    except ValueError:
        type_ = UnknownProjectileType(np.uint16(kind))
    return Projectile(
        type=type_,
        owner=np.int8(owner),
        spawn_id=np.uint32(spawn_id),
        position=melee.Position(np.float32(x), np.float32(5.0)),
        speed=melee.Position(np.float32(6.0), np.float32(-1.0)),
    )


def rows(state: melee.GameState, live: LiveGame | None = None) -> dict[str, float]:
    """The rows that are not zero."""
    column = (live or LiveGame({})).column(state)
    assert column.dtype == np.float32
    assert column.shape == (len(RAW_NAMES),)
    return {name: float(value) for name, value in zip(RAW_NAMES, column, strict=True) if value != 0}


FALCO = {
    "percent": 34.5,
    "x": -12.5,
    "y": 0.25,
    "facing": -1.0,
    "shield": 55.0,
    "stocks": 3.0,
    "jumps": 2.0,
    "hurtbox": 1.0,
    "action_frame": 7.0,
    "misc": 11.0,
    "hitlag": 4.0,
    "speed_air_x": 1.5,
    "speed_y": -2.5,
    "speed_attack_x": 0.5,
    "speed_attack_y": 0.75,
    "speed_ground_x": -1.25,
    "action_state": 14.0,
    "character": 22.0,
}
GAME = {
    "frame": 60.0,
    "stage": 2.0,
    "has_misc": 1.0,
    "has_hurtbox": 1.0,
    "has_speeds": 1.0,
    "has_hitlag": 1.0,
    "has_items": 1.0,
}


def side(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def test_every_row_of_a_frame() -> None:
    other = fighter(facing=np.bool_(True), on_ground=True, character=melee.Character.MEWTWO)
    expected = GAME | side("a", FALCO) | side("b", FALCO | {"facing": 1.0, "on_ground": 1.0, "character": 16.0})
    assert rows(game(fighter(), other)) == expected


def test_side_a_is_the_lower_port_whatever_the_order_of_players() -> None:
    found = rows(game(fighter(percent=np.float32(1)), fighter(percent=np.float32(2)), ports=(1, 3)))
    assert (found["a_percent"], found["b_percent"]) == (1.0, 2.0)


def test_the_shift_of_action_frames_is_taken_back_for_its_character_and_action_only() -> None:
    live = LiveGame({22: {14}, 16: {15}})
    marth = fighter(character=melee.Character.MARTH)
    found = rows(game(fighter(), marth), live)
    assert (found["a_action_frame"], found["b_action_frame"]) == (6.0, 7.0)


def test_a_table_of_shifts_comes_with_the_installed_libmelee() -> None:
    shifted = melee.Console(is_dolphin=False, path="none").zero_indices
    assert len(shifted[16]) == 42, "Mewtwo's, as the reference counts them"


def test_an_unnamed_action_keeps_its_number() -> None:
    assert rows(game(fighter(action=UnknownAnimation(np.uint16(500))), fighter()))["a_action_state"] == 500.0


def test_nana_is_not_shifted_and_has_a_block_of_her_own() -> None:
    nana = fighter(character=melee.Character.NANA, on_ground=True)
    popo = fighter(character=melee.Character.POPO, nana=nana)
    found = rows(game(fighter(), popo), LiveGame({10: {14}, 11: {14}}))
    names = ("percent", "x", "y", "facing", "hurtbox", "action_frame", "misc", "action_state")
    block = {f"nana_{name}": FALCO[name] for name in names} | {"nana_exists": 1.0, "nana_on_ground": 1.0}
    assert {name: value for name, value in found.items() if "nana" in name} == side("b", block)
    assert found["b_action_frame"] == 6.0


def test_a_nana_without_post_frame_is_not_there() -> None:
    found = rows(game(fighter(nana=melee.PlayerState()), fighter()))
    assert not [name for name in found if "nana" in name]


def test_items_have_kind_owner_position_and_speed() -> None:
    found = rows(game(fighter(), fighter(), item(7, 4, x=30.0), item(8, 2), item(9, 0), item(10, 1, kind=200)))
    kinds = {"kind": FALCO_LASER + 1.0, "y": 5.0, "speed_x": 6.0, "speed_y": -1.0}
    assert {name: value for name, value in found.items() if name.startswith("item")} == (
        side("item0", kinds | {"owner": -1.0, "x": 30.0})
        | side("item1", kinds | {"owner": 1.0})
        | side("item2", kinds)
        | side("item3", kinds | {"kind": 201.0})
    )


def test_an_item_keeps_its_slot_while_it_lives() -> None:
    live = LiveGame({})
    live.column(game(fighter(), fighter(), item(7, 2, x=1.0), item(8, 2, x=2.0)))
    found = rows(game(fighter(), fighter(), item(8, 2, x=3.0), item(9, 2, x=4.0)), live)
    assert (found["item1_x"], found["item0_x"]) == (3.0, 4.0)
    assert "item0_x" not in rows(game(fighter(), fighter(), item(8, 2, x=5.0)), live)


@pytest.mark.parametrize(
    ("stage", "index"),
    [
        (melee.Stage.FOUNTAIN_OF_DREAMS, 0.0),
        (melee.Stage.POKEMON_STADIUM, 1.0),
        (melee.Stage.YOSHIS_STORY, 2.0),
        (melee.Stage.DREAMLAND, 3.0),
        (melee.Stage.BATTLEFIELD, 4.0),
        (melee.Stage.FINAL_DESTINATION, 5.0),
        (melee.Stage.NO_STAGE, 6.0),
    ],
)
def test_stages_go_by_exphils_numbers(stage: melee.Stage, index: float) -> None:
    state = game(fighter(), fighter())
    state.stage = stage
    assert rows(state).get("stage", 0.0) == index


@pytest.mark.parametrize("ports", [(), (1,), (1, 2, 3)])
def test_only_games_of_two_are_played(ports: tuple[int, ...]) -> None:
    state = melee.GameState(players={np.uint8(port): fighter() for port in ports})
    with pytest.raises(DolphinError, match="games of two players, found ports"):
        two_ports(state)

import enum
from collections.abc import Callable

import pytest

from dataset.errors import ConfigError
from dataset.melee import ids

# fmt: off
EXTERNAL_ORDER = [
    "captain_falcon", "donkey_kong", "fox", "game_and_watch", "kirby", "bowser", "link",
    "luigi", "mario", "marth", "mewtwo", "ness", "peach", "pikachu",
    "ice_climbers", "jigglypuff", "samus", "yoshi", "zelda", "sheik", "falco",
    "young_link", "doctor_mario", "roy", "pichu", "ganondorf",
]
# fmt: on
"""Game Start ids 0–25 as Slippi's specification lists them."""

LIBMELEE_NAMES = {
    "CPTFALCON": "captain_falcon",
    "DK": "donkey_kong",
    "GAMEANDWATCH": "game_and_watch",
    "POPO": "ice_climbers",
    "NANA": "ice_climbers",
    "YLINK": "young_link",
    "DOC": "doctor_mario",
    "DREAMLAND": "dream_land",
}
"""Where libmelee's name is not ours in capitals."""


def _ours(member: enum.Enum) -> str:
    return LIBMELEE_NAMES.get(member.name, member.name.lower())


def test_external_ids_are_slippis() -> None:
    assert [character.name for character in sorted(ids.CHARACTERS, key=lambda c: c.external)] == EXTERNAL_ORDER
    assert [character.external for character in ids.CHARACTERS] == list(range(26))


def test_internal_ids_are_libmelees() -> None:
    import melee

    playable = {_ours(c): c.value for c in melee.Character if c.value <= 26 and c is not melee.Character.NANA}
    assert {character.name: character.internal for character in ids.CHARACTERS} == playable
    assert melee.Character.NANA.value == ids.NANA
    assert max(c.value for c in melee.Character if c is not melee.Character.UNKNOWN_CHARACTER) == ids.NUM_CHARACTERS - 1


def test_mewtwo_fox_and_samus_keep_their_known_numbers() -> None:
    known = {"mewtwo": (10, 16), "fox": (2, 1), "samus": (16, 13)}
    assert {name: ids.character_from_name(name)[1:] for name in known} == known


def test_every_external_id_has_an_internal_one_of_its_own_and_others_have_none() -> None:
    assert len({ids.internal_from_external(n) for n in range(26)} - {None}) == 26
    assert (ids.internal_from_external(26), ids.internal_from_external(255)) == (None, None)


def test_nana_goes_by_the_name_of_the_pair_and_the_unplayable_by_their_number() -> None:
    assert (ids.character_name(ids.NANA), ids.character_name(27)) == ("ice_climbers", "internal_27")


def test_the_six_stages_are_slippis_and_libmelees() -> None:
    import melee
    from melee.enums import to_internal_stage
    from melee.stages import EDGE_POSITION

    assert [_ours(to_internal_stage(stage.slippi)) for stage in ids.STAGES] == [stage.name for stage in ids.STAGES]
    assert [melee.Stage(stage.libmelee) for stage in ids.STAGES] == [to_internal_stage(s.slippi) for s in ids.STAGES]
    ledges = [EDGE_POSITION[melee.Stage(stage.libmelee)] for stage in ids.STAGES]
    assert [stage.ledge_x for stage in ids.STAGES] == pytest.approx(ledges, abs=1e-3)


def test_every_stage_number_maps_to_one_compact_index() -> None:
    slippi = {number: ids.stage_index_from_slippi(number) for number in range(256)}
    libmelee = {number: ids.stage_index_from_libmelee(number) for number in range(256)}
    assert {n: i for n, i in slippi.items() if i != ids.OTHER_STAGE} == {2: 0, 3: 1, 8: 2, 28: 3, 31: 4, 32: 5}
    assert {n: i for n, i in libmelee.items() if i != ids.OTHER_STAGE} == {8: 0, 18: 1, 6: 2, 26: 3, 24: 4, 25: 5}
    assert [ids.stage_name(i) for i in range(ids.NUM_STAGES)] == [*(stage.name for stage in ids.STAGES), "other"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Mewtwo", "mewtwo"), ("Ice Climbers", "ice_climbers"), ("Dr. Mario", "doctor_mario"), ("  DK ", "donkey_kong")],
)
def test_a_character_is_known_by_what_people_type(typed: str, meant: str) -> None:
    assert ids.character_from_name(typed).name == meant


def test_every_alias_names_a_character() -> None:
    names = {character.name for character in ids.CHARACTERS}
    assert names.isdisjoint(ids.ALIASES)
    assert {ids.character_from_name(alias).name for alias in ids.ALIASES} <= names
    assert ids.stage_from_name("Yoshi's Story").number == 2


@pytest.mark.parametrize(
    ("find", "kind", "known"),
    [(ids.character_from_name, "character", "ganondorf"), (ids.stage_from_name, "stage", "battlefield")],
)
def test_an_unknown_name_lists_the_known_ones(find: Callable[[str], object], kind: str, known: str) -> None:
    with pytest.raises(ConfigError, match=rf"{kind} 'waluigi': unknown; use one of .*{known}"):
        find("waluigi")


def test_names_of_action_states_are_those_of_libmelees() -> None:
    from melee import Action

    families = {
        "wait": ["STANDING"],
        "walk": ["WALK_SLOW", "WALK_FAST"],
        "knee bend": ["KNEE_BEND"],
        "double jump": ["JUMPING_ARIAL_FORWARD", "JUMPING_ARIAL_BACKWARD"],
        "helpless fall": ["DEAD_FALL", "SPECIAL_FALL_BACK"],
        "jab": ["NEUTRAL_ATTACK_1", "LOOPING_ATTACK_END"],
        "forward smash": ["FSMASH_HIGH", "FSMASH_LOW"],
        "aerial landing": ["NAIR_LANDING", "DAIR_LANDING"],
        "hitstun": ["DAMAGE_HIGH_1", "DAMAGE_AIR_3"],
        "knocked away": ["DAMAGE_FLY_HIGH", "DAMAGE_FLY_ROLL"],
        "shield": ["SHIELD_START", "SHIELD_RELEASE"],
        "shield hit": ["SHIELD_STUN"],
        "lying": ["TECH_MISS_UP", "LYING_GROUND_DOWN", "DAMAGE_GROUND"],
        "getup attack": ["GROUND_ATTACK_UP", "GETUP_ATTACK"],
        "tech roll": ["FORWARD_TECH", "BACKWARD_TECH"],
        "grab": ["GRAB", "GRAB_RUNNING_PULLING"],
        "throw": ["THROW_FORWARD", "THROW_DOWN"],
        "roll": ["ROLL_FORWARD", "ROLL_BACKWARD"],
        "air dodge": ["AIRDODGE"],
        "ledge hang": ["EDGE_HANGING"],
        "ledge jump": ["EDGE_JUMP_1_SLOW", "EDGE_JUMP_2_QUICK"],
        "entry": ["ENTRY", "ENTRY_END"],
    }
    states = {family: [Action[name].value for name in names] for family, names in families.items()}
    found = {family: sorted({ids.action_state_name(state) for state in values}) for family, values in states.items()}
    assert found == {family: [family] for family in families}


def test_the_crouch_before_a_jump_is_named() -> None:
    assert ids.action_state_name(ids.KNEE_BEND) == "knee bend"


@pytest.mark.parametrize(
    ("state", "name"), [(0, "dead"), (340, "other"), (ids.FIRST_SPECIAL, "special 341"), (525, "special 525")]
)
def test_the_ends_of_the_table_of_action_states(state: int, name: str) -> None:
    assert ids.action_state_name(state) == name

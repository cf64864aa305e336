import pytest

from dataset.melee.action_states import FIRST_SPECIAL, action_state_name
from dataset.melee.ids import KNEE_BEND


def test_names_are_those_of_libmelees_states() -> None:
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
    found = {family: sorted({action_state_name(state) for state in values}) for family, values in states.items()}
    assert found == {family: [family] for family in families}


def test_the_crouch_before_a_jump_is_named() -> None:
    assert action_state_name(KNEE_BEND) == "knee bend"


@pytest.mark.parametrize(
    ("state", "name"), [(0, "dead"), (340, "other"), (FIRST_SPECIAL, "special 341"), (525, "special 525")]
)
def test_the_ends_of_the_table(state: int, name: str) -> None:
    assert action_state_name(state) == name

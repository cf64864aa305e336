"""Every mapping between the id schemes of Melee, Slippi and libmelee, and readable names of characters, stages and action states.

Slippi's Game Start block uses *external* character and stage ids, post-frames use *internal* character ids, and libmelee's
enums use internal characters and stage numbers of its own. exphil stores internal character ids and its own compact stage
index. Mistaking one for the other goes unnoticed: Mewtwo is 10 outside and 16 inside, while 10 inside is Popo.
"""

from bisect import bisect_right
from typing import NamedTuple

from dataset.errors import require_known


class Character(NamedTuple):
    """One playable character under its two numbers."""

    name: str
    external: int
    internal: int


CHARACTERS: tuple[Character, ...] = (
    Character("captain_falcon", 0, 2), Character("donkey_kong", 1, 3), Character("fox", 2, 1),
    Character("game_and_watch", 3, 24), Character("kirby", 4, 4), Character("bowser", 5, 5), Character("link", 6, 6),
    Character("luigi", 7, 17), Character("mario", 8, 0), Character("marth", 9, 18), Character("mewtwo", 10, 16),
    Character("ness", 11, 8), Character("peach", 12, 9), Character("pikachu", 13, 12),
    Character("ice_climbers", 14, 10), Character("jigglypuff", 15, 15), Character("samus", 16, 13),
    Character("yoshi", 17, 14), Character("zelda", 18, 19), Character("sheik", 19, 7), Character("falco", 20, 22),
    Character("young_link", 21, 20), Character("doctor_mario", 22, 21), Character("roy", 23, 26),
    Character("pichu", 24, 23), Character("ganondorf", 25, 25),
)  # fmt: skip
"""The 26 playable characters, by external id. Ice Climbers are led by Popo (internal 10)."""

ZELDA_AND_SHEIK = frozenset({19, 7})
"""Internal ids of the two who turn into each other in the middle of a game."""

NANA = 11
"""Internal id of the follower of an Ice Climbers pair."""

NUM_CHARACTERS = 33
"""Size of the character embedding table: internal ids 0–32, sandbag and the like included."""

NUM_ACTION_STATES = 1024
"""Size of the action-state embedding table; ids to 525 occur in real replays."""

NUM_ITEM_KINDS = 256
"""Size of the item embedding table; kind 0 is an empty slot, kind k + 1 is Melee's item type k."""

KNEE_BEND = 24
"""Action state of the crouch before a jump leaves the ground."""

ALIASES = {
    "falcon": "captain_falcon",
    "dk": "donkey_kong",
    "gnw": "game_and_watch",
    "game_&_watch": "game_and_watch",
    "ics": "ice_climbers",
    "popo": "ice_climbers",
    "puff": "jigglypuff",
    "doc": "doctor_mario",
    "dr_mario": "doctor_mario",
    "ylink": "young_link",
    "ganon": "ganondorf",
}

_BY_NAME = {character.name: character for character in CHARACTERS}
_BY_EXTERNAL = {character.external: character for character in CHARACTERS}
_BY_INTERNAL = {character.internal: character for character in CHARACTERS}
_BY_INTERNAL[NANA] = _BY_NAME["ice_climbers"]


class Stage(NamedTuple):
    """One legal stage under its numbers, with the ledge's |x| in Melee units.

    Ledge positions are the "edge" figures of libmelee's ``stages.EDGE_POSITION`` (measured by the Melee community).
    """

    name: str
    number: int
    slippi: int
    libmelee: int
    ledge_x: float


STAGES: tuple[Stage, ...] = (
    Stage("fountain_of_dreams", 0, 2, 0x08, 66.2554),
    Stage("pokemon_stadium", 1, 3, 0x12, 90.6579),
    Stage("yoshis_story", 2, 8, 0x06, 58.9078),
    Stage("dream_land", 3, 28, 0x1A, 80.1792),
    Stage("battlefield", 4, 31, 0x18, 71.3079),
    Stage("final_destination", 5, 32, 0x19, 88.4735),
)
"""The six legal stages; a stage's number is its row in the compact stage embedding table."""

OTHER_STAGE = 6
"""Stage index of everything that is not a legal stage."""

NUM_STAGES = 7

_STAGE_BY_SLIPPI = {stage.slippi: stage.number for stage in STAGES}
_STAGE_BY_LIBMELEE = {stage.libmelee: stage.number for stage in STAGES}
_STAGE_BY_NAME = {stage.name: stage for stage in STAGES}


def character_from_name(name: str) -> Character:
    """The character a person means by ``name`` (any case, spaces, dashes or common short forms)."""
    key = name.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "")
    key = ALIASES.get(key, key)
    return _BY_NAME[require_known("character", key, sorted(_BY_NAME))]


def internal_from_external(external: int) -> int | None:
    """Internal id of a Game Start character; ``None`` for the non-playable ids above 25."""
    character = _BY_EXTERNAL.get(external)
    return None if character is None else character.internal


def character_name(internal: int) -> str:
    """Readable name of an internal id; ``internal_31`` for the non-playable."""
    character = _BY_INTERNAL.get(internal)
    return f"internal_{internal}" if character is None else character.name


def stage_index_from_slippi(slippi: int) -> int:
    """Compact index of a Game Start stage id; ``OTHER_STAGE`` unless it is legal."""
    return _STAGE_BY_SLIPPI.get(slippi, OTHER_STAGE)


def stage_index_from_libmelee(libmelee: int) -> int:
    """Compact index of a ``melee.Stage`` value; ``OTHER_STAGE`` unless it is legal."""
    return _STAGE_BY_LIBMELEE.get(libmelee, OTHER_STAGE)


def stage_name(index: int) -> str:
    """Readable name of a compact stage index."""
    return "other" if index == OTHER_STAGE else STAGES[index].name


def stage_from_name(name: str) -> Stage:
    """The legal stage a person means by ``name``."""
    key = name.strip().lower().replace(" ", "_").replace("-", "_").replace("'", "")
    return _STAGE_BY_NAME[require_known("stage", key, _STAGE_BY_NAME)]


FIRST_SPECIAL = 341
"""Action states from here on are a character's own specials; those below mean the same for every character."""

_ACTION_STATES = (
    (0, "dead"), (11, "absent"), (12, "respawn"), (14, "wait"), (15, "walk"), (18, "turn"), (19, "run turn"),
    (20, "dash"), (21, "run"), (23, "run brake"), (24, "knee bend"), (25, "jump"), (27, "double jump"), (29, "fall"),
    (35, "helpless fall"), (38, "tumble"), (39, "crouch"), (42, "landing"), (43, "special landing"), (44, "jab"),
    (50, "dash attack"), (51, "forward tilt"), (56, "up tilt"), (57, "down tilt"), (58, "forward smash"),
    (63, "up smash"), (64, "down smash"), (65, "neutral air"), (66, "forward air"), (67, "back air"), (68, "up air"),
    (69, "down air"), (70, "aerial landing"), (75, "hitstun"), (87, "knocked away"), (92, "item"), (178, "shield"),
    (181, "shield hit"), (182, "powershield"), (183, "lying"), (186, "getup"), (187, "getup attack"),
    (188, "getup roll"), (191, "lying"), (194, "getup"), (195, "getup attack"), (196, "getup roll"), (199, "tech"),
    (200, "tech roll"), (202, "wall tech"), (204, "ceiling tech"), (205, "shield break"), (212, "grab"),
    (216, "holding"), (217, "pummel"), (218, "grab break"), (219, "throw"), (223, "grabbed"), (233, "roll"),
    (235, "spot dodge"), (236, "air dodge"), (237, "rebound"), (239, "thrown"), (244, "platform drop"),
    (245, "teeter"), (247, "wall bounce"), (248, "ceiling bounce"), (249, "bump"), (251, "edge slip"),
    (252, "ledge catch"), (253, "ledge hang"), (254, "ledge getup"), (256, "ledge attack"), (258, "ledge roll"),
    (260, "ledge jump"), (264, "taunt"), (266, "carried"), (271, "thrown"), (275, "captured"), (293, "other"),
    (294, "buried"), (297, "asleep"), (300, "disabled"), (301, "captured"), (305, "item"), (322, "entry"),
    (325, "frozen"), (327, "captured"), (335, "other"),
)  # fmt: skip
"""(first state, name) of every family of action states, in order: all five forward tilts are "forward tilt"."""

_FIRST_STATES = [first for first, _ in _ACTION_STATES]


def action_state_name(state: int) -> str:
    """The family of an action state, for people only; ``special 350`` for a character's own."""
    if state >= FIRST_SPECIAL:
        return f"special {state}"
    return _ACTION_STATES[bisect_right(_FIRST_STATES, state) - 1][1]

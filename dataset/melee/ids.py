"""Every mapping between the id schemes of Melee, Slippi and libmelee lives here.

Slippi's Game Start block uses *external* character and stage ids, post-frames use *internal* character ids, and libmelee's
enums use internal characters and stage numbers of its own. exphil stores internal character ids and its own compact stage
index. The surprise: Mewtwo is 10 outside and 16 inside, while 10 inside is Popo.
"""

from typing import NamedTuple

from dataset.errors import require_known


class Character(NamedTuple):
    """One playable character under its two numbers."""

    name: str
    external: int
    internal: int


CHARACTERS: tuple[Character, ...] = (
    Character("captain_falcon", 0, 2),
    Character("donkey_kong", 1, 3),
    Character("fox", 2, 1),
    Character("game_and_watch", 3, 24),
    Character("kirby", 4, 4),
    Character("bowser", 5, 5),
    Character("link", 6, 6),
    Character("luigi", 7, 17),
    Character("mario", 8, 0),
    Character("marth", 9, 18),
    Character("mewtwo", 10, 16),
    Character("ness", 11, 8),
    Character("peach", 12, 9),
    Character("pikachu", 13, 12),
    Character("ice_climbers", 14, 10),
    Character("jigglypuff", 15, 15),
    Character("samus", 16, 13),
    Character("yoshi", 17, 14),
    Character("zelda", 18, 19),
    Character("sheik", 19, 7),
    Character("falco", 20, 22),
    Character("young_link", 21, 20),
    Character("doctor_mario", 22, 21),
    Character("roy", 23, 26),
    Character("pichu", 24, 23),
    Character("ganondorf", 25, 25),
)
"""The 26 playable characters, by external id. Ice Climbers are led by Popo (internal 10)."""

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

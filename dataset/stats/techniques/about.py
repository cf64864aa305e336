"""What each technique means to people: the text of the registry of statistics and of docs/statistics.md."""

from typing import NamedTuple

from dataset.stats.techniques.moves import MOVES, SPECIALS
from dataset.stats.techniques.stocks import DEATHS, PUNISHES


class About(NamedTuple):
    """One technique."""

    definition: str
    """What counts, without the full stop."""
    tries: str | None = None
    """What its share is of; None where it is only counted."""
    value: str | None = None
    """What its mean is of, with the unit; None where it has none."""
    of: str | None = None
    """The technique whose count its own is a share of, where it has no tries of its own."""
    needs: tuple[str, ...] = ()
    """Columns of a side that old Slippi versions or arenas lack, and without which a game tells nothing of it."""
    is_rate: bool = True
    """Whether it matters how often it comes in a minute: not where frames are counted, or where another technique says so."""


_STICK = ("main_x", "main_y")
_BUTTONS = ("action_frame", "buttons", *_STICK)
"""Moves need them because of specials."""

ABOUT: dict[str, About] = {
    "l-cancel": About(
        "landings from an aerial whose lag was cancelled",
        "landings from an aerial that Slippi rates, less those that an edge cut short before they were cancelled",
        needs=("l_cancel",),
    ),
    "l-cancel press": About(
        "landings that Slippi rates with a press of L, R, Z or a trigger up to 20 frames before, or 5 after (below 0)",
        value="frames early",
        needs=("l_cancel", "buttons", "trigger"),
        is_rate=False,
    ),
    "tech": About("knockdowns teched, on the spot or rolling", "knockdowns"),
    "tech in place": About("knockdowns teched on the spot", "knockdowns"),
    "tech roll": About("knockdowns teched rolling", "knockdowns"),
    "tech towards": About("knockdowns teched rolling towards the opponent", "knockdowns", needs=("facing",)),
    "tech away": About("knockdowns teched rolling away from the opponent", "knockdowns", needs=("facing",)),
    "missed tech": About("knockdowns not teched", "knockdowns"),
    "wall tech": About("walls teched without a jump", "walls teched without a jump or bounced off"),
    "wavedash": About(
        "air dodges that land within 14 frames of the jump's knee bend and less than 3 Melee units from its height"
    ),
    "wavedash trigger": About(
        "wavedashes, by how long after the knee bend the air dodge comes", value="frames late", is_rate=False
    ),
    "wavedash angle": About(
        "wavedashes, by how far below the horizon the stick is held", value="degrees down", needs=_STICK, is_rate=False
    ),
    "waveland": About(
        "other air dodges that land within 13 frames: without a knee bend in the 14 frames before, or on a platform"
    ),
    "dash-dance": About("dashes out of a one-frame turn out of a dash"),
    "ledgedash": About(
        "landings from an air dodge soon after the ledge", "times the ledge was let go", "frames to land"
    ),
    "roll": About("rolls on the ground out of a shield"),
    "spot dodge": About("dodges on the spot"),
    "air dodge": About("air dodges, less those that land within 13 frames"),
    "ledge grab": About("times the ledge was caught"),
    "shield drop": About(
        "drops through a platform out of a shield, by how long after it was raised or last struck",
        value="frames shielded",
    ),
    "edge cancel": About("landings from an aerial that end off an edge or teetering", "landings from an aerial"),
    "special landing edge cancel": About(
        "landings from an air dodge or special that end off an edge or teetering",
        "landings from an air dodge or special",
    ),
    "djc aerial": About("aerials early in a double jump, which they end", "aerials out of a double jump"),
    "teleport": About("Mewtwo's teleports"),
    "teleport ledge cancel": About("teleports whose lag ends off an edge", "teleports that end on the ground"),
    "shadow ball": About("Shadow Balls let fly", "uses of Shadow Ball", "frames charged"),
    "taunt": About("taunts"),
    "move": About("attacks, grabs and specials", needs=_BUTTONS),
    **{name: About(f"uses of {name}", of="move", needs=_BUTTONS) for name in (*MOVES, *SPECIALS)},
    "repeated attack": About(
        "attacks that are the same as the player's last, specials left out", "attacks", needs=("action_frame",)
    ),
    "attack press": About(
        "presses of A and Z and flicks of the C-stick, beside all attacks and grabs but specials",
        value="presses per attack",
        needs=("action_frame", "buttons", "c_x", "c_y"),
    ),
    "grab made": About("grabs that catch the opponent", "grabs"),
    "throw": About("throws"),
    **{f"{name} throw": About(f"{name} throws", of="throw") for name in ("forward", "back", "up", "down")},
    "di": About(
        "launches with the stick out of its dead zone on the last frame of hitlag",
        "hits that launch into the air",
        "share of full DI",
        needs=("hitlag", "speed_attack_x", "on_ground", *_STICK),
    ),
    "sdi": About(
        "hits in whose hitlag the stick came to a new direction", "hits", "inputs per hit", needs=("hitlag", *_STICK)
    ),
    "crouch cancel": About("hits taken crouching", "hits taken on the ground", needs=("hitlag", "on_ground")),
    "recovery": About("returns to the stage or its ledge", "times off the stage", needs=("on_ground", "stocks")),
    "off stage": About(
        "time in the air beyond a ledge or under the stage", "time in the game", needs=("on_ground",), is_rate=False
    ),
    "stage control": About(
        "time nearer the centre of the stage than the opponent", "time that both are in the game", is_rate=False
    ),
    "frozen": About(
        "time in stretches of a second and more with the very same controller",
        "time able to act",
        needs=("hitlag", "buttons", *_STICK),
        is_rate=False,
    ),
    "button press": About("buttons that go down", needs=("buttons",)),
    "stick move": About("times the stick came to another of eight directions", needs=_STICK),
    "c-stick move": About("times the C-stick came to another of eight directions", needs=("c_x", "c_y")),
    "trigger pull": About("triggers pulled beyond 0.3", needs=("trigger_l", "trigger_r")),
    "approach": About("attacks out of neutral, after coming near, that open the opponent", "such attacks"),
    "neutral win": About("openings out of neutral won", "openings out of neutral"),
    "counter-attack": About("openings while the opponent's own conversion runs"),
    "trade": About("openings of both players on one frame"),
    "opening": About("conversions begun", value="damage"),
    **{
        f"opening by {name}": About(f"conversions begun with {name}", of="opening", needs=("last_attack_landed",))
        for name in PUNISHES
    },
    "conversion": About("openings that land two moves or more, each of which may hit several times", "openings"),
    "kill": About("openings whose conversion takes the stock", "openings", "percent"),
    **{f"kill by {name}": About(f"kills with {name}", of="kill", needs=("last_attack_landed",)) for name in PUNISHES},
    "stock lost": About("stocks lost", value="seconds", needs=("stocks",)),
    **{
        name: About(f"stocks lost {name.removeprefix('death ')}", of="stock lost", needs=("stocks",)) for name in DEATHS
    },
    "self-destruct": About("stocks lost while the game counts no hit of the opponent", "stocks lost"),
}
"""Every technique by its name, in the order in which people read them."""

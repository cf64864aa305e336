"""What each technique means to people: the text of the registry of statistics and of docs/statistics.md."""

from typing import NamedTuple


class About(NamedTuple):
    """One technique."""

    definition: str
    """What counts, without the full stop."""
    tries: str | None = None
    """What its share is of; None where it is only counted."""
    value: str | None = None
    """What its mean is of, with the unit; None where it has none."""


ABOUT: dict[str, About] = {
    "l-cancel": About(
        "landings from an aerial whose lag was cancelled",
        "landings from an aerial that Slippi rates, less those that an edge cut short before they were cancelled",
    ),
    "tech in place": About("knockdowns teched on the spot", "knockdowns"),
    "tech roll": About("knockdowns teched rolling", "knockdowns"),
    "missed tech": About("knockdowns not teched", "knockdowns"),
    "wavedash": About(
        "air dodges that land within 14 frames of the jump's knee bend and less than 3 Melee units from its height"
    ),
    "waveland": About(
        "other air dodges that land within 13 frames: without a knee bend in the 14 frames before, or on a platform"
    ),
    "dash-dance": About("dashes out of a one-frame turn out of a dash"),
    "ledgedash": About(
        "landings from an air dodge soon after the ledge", "times the ledge was let go", "frames to land"
    ),
    "djc aerial": About("aerials early in a double jump, which they end", "aerials out of a double jump"),
    "teleport": About("Mewtwo's teleports"),
    "teleport ledge cancel": About("teleports whose lag ends off an edge", "teleports that end on the ground"),
    "shadow ball": About("Shadow Balls let fly", "uses of Shadow Ball", "frames charged"),
    "approach": About("attacks out of neutral, after coming near, that open the opponent", "such attacks"),
    "neutral win": About("openings out of neutral won", "openings out of neutral"),
    "counter-attack": About("openings while the opponent's own conversion runs"),
    "trade": About("openings of both players on one frame"),
    "opening": About("conversions begun", value="damage"),
    "conversion": About("openings that land two moves or more, each of which may hit several times", "openings"),
    "kill": About("openings whose conversion takes the stock", "openings", "percent"),
    "self-destruct": About("stocks lost while the game counts no hit of the opponent", "stocks lost"),
}
"""Every technique of ``dataset.stats.techniques.table.TECHNIQUES``."""

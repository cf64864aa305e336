"""Whose damage it was: a rise of percent that the opponent dealt, or one that nobody did.

The game itself takes 1 % a second from a player whom only the magnifying glass shows, up to 150 %, and Pichu's and Roy's own
attacks hurt them (ssbwiki.com, "Magnifying-Glass Damage" and "Recoil damage"). Neither is a hit of the opponent's.
"""

from typing import Any

from dataset.melee.ids import character_from_name

MAGNIFIER_PERCENT, ROUNDING = 1.0, 1e-3
SCREEN_X, SCREEN_TOP, SCREEN_BOTTOM = 115.0, 105.0, -40.0
"""Melee units. The smallest stages stop the camera at these or farther out: in 255 real games 353 rises of exactly 1 % without
hitlag lay beyond, and within them 50 did, 21 of them Pichu's own and most others throws."""

NOBODY = 6
"""``last_hit_by`` of a player whom nobody has hit, or not lately: no hit on it counts when the player dies. The game never names
a player's own slot there (3.4 million frames of 255 real games)."""

_RECOIL = tuple(character_from_name(name).internal for name in ("pichu", "roy"))
_RECOIL_STATES = ((44, 74), (212, 222), (341, 400))
"""Attacks and the landings of aerials, grabs and throws, and specials."""

PLACE = ("character", "action_state", "x", "y", "hitlag")
"""Columns of a side that tell a hit from the rest, in the order of the arguments of ``is_dealt``."""


def is_dealt(rise: Any, character: Any, state: Any, x: Any, y: Any, hitlag: Any) -> Any:
    """Whether a change of percent is damage that the opponent dealt: a rise that neither the camera nor the player made itself.

    Args:
        rise: percent more than on the frame before, at most 0 where there is none; numpy arrays or polars expressions alike.
        character: internal id.
        state: action state on the frame of the rise.
        x: in Melee units.
        y: in Melee units.
        hitlag: frames left; 0 where unknown. An array or an expression too, never a number.
    """
    is_off_screen = (abs(x) > SCREEN_X) | (y > SCREEN_TOP) | (y < SCREEN_BOTTOM)
    is_own = (character == _RECOIL[0]) | (character == _RECOIL[1])
    is_attacking = state < 0
    for first, last in _RECOIL_STATES:
        is_attacking = is_attacking | ((state >= first) & (state <= last))
    is_magnified = (abs(rise - MAGNIFIER_PERCENT) < ROUNDING) & is_off_screen
    return (rise > 0) & ~((is_magnified | (is_own & is_attacking)) & ~(hitlag > 0))

"""Readable names of Melee's common action states, for people only: nothing is computed from them.

States up to 340 mean the same for every character and are named by family (all five forward tilts are "forward tilt"); from
341 on they are the character's own specials and keep their number.
"""

from bisect import bisect_right

FIRST_SPECIAL = 341

_FAMILIES = (
    (0, "dead"),
    (11, "absent"),
    (12, "respawn"),
    (14, "wait"),
    (15, "walk"),
    (18, "turn"),
    (19, "run turn"),
    (20, "dash"),
    (21, "run"),
    (23, "run brake"),
    (24, "knee bend"),
    (25, "jump"),
    (27, "double jump"),
    (29, "fall"),
    (35, "helpless fall"),
    (38, "tumble"),
    (39, "crouch"),
    (42, "landing"),
    (43, "special landing"),
    (44, "jab"),
    (50, "dash attack"),
    (51, "forward tilt"),
    (56, "up tilt"),
    (57, "down tilt"),
    (58, "forward smash"),
    (63, "up smash"),
    (64, "down smash"),
    (65, "neutral air"),
    (66, "forward air"),
    (67, "back air"),
    (68, "up air"),
    (69, "down air"),
    (70, "aerial landing"),
    (75, "hitstun"),
    (87, "knocked away"),
    (92, "item"),
    (178, "shield"),
    (181, "shield hit"),
    (182, "powershield"),
    (183, "lying"),
    (186, "getup"),
    (187, "getup attack"),
    (188, "getup roll"),
    (191, "lying"),
    (194, "getup"),
    (195, "getup attack"),
    (196, "getup roll"),
    (199, "tech"),
    (200, "tech roll"),
    (202, "wall tech"),
    (204, "ceiling tech"),
    (205, "shield break"),
    (212, "grab"),
    (216, "holding"),
    (217, "pummel"),
    (218, "grab break"),
    (219, "throw"),
    (223, "grabbed"),
    (233, "roll"),
    (235, "spot dodge"),
    (236, "air dodge"),
    (237, "rebound"),
    (239, "thrown"),
    (244, "platform drop"),
    (245, "teeter"),
    (247, "wall bounce"),
    (248, "ceiling bounce"),
    (249, "bump"),
    (251, "edge slip"),
    (252, "ledge catch"),
    (253, "ledge hang"),
    (254, "ledge getup"),
    (256, "ledge attack"),
    (258, "ledge roll"),
    (260, "ledge jump"),
    (264, "taunt"),
    (266, "carried"),
    (271, "thrown"),
    (275, "captured"),
    (293, "other"),
    (294, "buried"),
    (297, "asleep"),
    (300, "disabled"),
    (301, "captured"),
    (305, "item"),
    (322, "entry"),
    (325, "frozen"),
    (327, "captured"),
    (335, "other"),
)
"""(first state, name) of every family, in order."""

_FIRSTS = [first for first, _ in _FAMILIES]


def action_state_name(state: int) -> str:
    """The family of an action state; ``special 350`` for a character's own."""
    if state >= FIRST_SPECIAL:
        return f"special {state}"
    return _FAMILIES[bisect_right(_FIRSTS, state) - 1][1]

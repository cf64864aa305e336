"""Techniques that only some characters have: double-jump cancels, Mewtwo's teleport and Shadow Ball."""

import polars as pl

from dataset.melee.ids import character_from_name
from dataset.stats.techniques.spans import Games, earlier, enters, events, later, length

MEWTWO = character_from_name("mewtwo").internal
DOUBLE_JUMP_CANCELLERS = tuple(character_from_name(name).internal for name in ("mewtwo", "ness", "peach", "yoshi"))
"""Their double jump is carried by its animation, which an aerial ends."""

AERIALS, DOUBLE_JUMPS = (65, 69), (27, 28)
DOUBLE_JUMP_CANCEL_FRAMES = 20
"""A double jump cut this early stays low; Mewtwo's rises fastest about frame 30 of 44. Ours."""

TELEPORTS = (353, 358)
"""Start, gone, reappear, on the ground (353–355) and in the air (356–358). Mewtwo's specials are numbered by the order of
``ftMewtwo_MotionState`` in doldecomp/melee, from 341 on."""

SHADOW_BALLS = (341, 350)
CHARGES, RELEASES = (342, 347), (345, 350)
SPECIAL_LANDING, LEDGE_CATCH, FALLS = 43, 252, (29, 34)


def double_jump_cancels(games: Games) -> pl.LazyFrame:
    """Aerials (65–69) of Mewtwo, Ness, Peach and Yoshi; a success right out of at most 20 frames of double jump (27, 28)."""
    jump_frames = pl.col("start") - earlier("start")
    is_cancel = earlier("state").is_between(*DOUBLE_JUMPS) & (jump_frames <= DOUBLE_JUMP_CANCEL_FRAMES)
    told = games.stays.with_columns(is_cancel=is_cancel.fill_null(value=False))
    aerials = told.filter(pl.col("character").is_in(DOUBLE_JUMP_CANCELLERS), enters(*AERIALS))
    return events(aerials, "djc aerial", success=pl.col("is_cancel"))


def teleports(games: Games) -> pl.LazyFrame:
    """Mewtwo's teleports (353–358), once each however they change between ground and air."""
    return events(games.stays.filter(pl.col("character") == MEWTWO, enters(*TELEPORTS)), "teleport")


def teleport_ledge_cancels(games: Games) -> pl.LazyFrame:
    """Teleports that end on the ground; a success if Mewtwo slides off an edge into a fall with control (29–34).

    The end on the ground is the reappearance there (355) or the special landing (43) right after one in the air (358);
    sliding off it skips what lag is left. Falling helpless (35), or walking off after the lag, is none.
    """
    is_landing = (pl.col("state") == SPECIAL_LANDING) & earlier("state").is_between(*TELEPORTS)
    ends_there = (pl.col("state") == TELEPORTS[0] + 2) & ~later("state").is_between(*TELEPORTS)
    falls_off = later("state").is_between(*FALLS).fill_null(value=False)
    told = games.stays.with_columns(is_end=is_landing | ends_there.fill_null(value=True), falls_off=falls_off)
    ends = told.filter(pl.col("character") == MEWTWO, "is_end")
    return events(ends, "teleport ledge cancel", success=pl.col("falls_off"))


def shadow_balls(games: Games) -> pl.LazyFrame:
    """Mewtwo's uses of Shadow Ball (an unbroken run of 341–350); a success if it is let fly (345, 350), else kept or lost.

    The mean is of the frames charged (342, 347) in that use; what earlier uses had stored is not known here.
    """
    told = games.stays.filter(pl.col("character") == MEWTWO).with_columns(use=enters(*SHADOW_BALLS).cum_sum())
    is_charge, is_release = pl.col("state").is_in(CHARGES), pl.col("state").is_in(RELEASES)
    uses = (
        told.filter(pl.col("state").is_between(*SHADOW_BALLS))
        .group_by("use", maintain_order=True)
        .agg(pl.col("player", "start").first(), fires=is_release.any(), charged=length().filter(is_charge).sum())
    )
    return events(uses, "shadow ball", success=pl.col("fires"), value=pl.col("charged"))

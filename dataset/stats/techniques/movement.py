"""Techniques that show in one player's own spans: landings, techs, movement, and what only some characters can do."""

import polars as pl

from dataset.melee.ids import character_from_name
from dataset.stats.techniques.spans import Games, earlier, enters, events, later, length

AERIAL_LANDING = (70, 74)
EDGE_FALLS, TEETER = (29, 31), 245
"""What a landing that slides off an edge, or stops on it, becomes."""

TECH_IN_PLACE, TECH_ROLLS = 199, (200, 201)
BOUNCES = (183, 191)
"""The floor bounce of a missed tech, face up and face down."""

LYING = (183, 198)
"""A player on the floor: bounce, wait, hurt there, getups."""

TURN, DASH, KNEE_BEND, SPECIAL_LANDING, AIR_DODGE = 18, 20, 24, 43, 236
JUMPS_AND_FALLS = (24, 34)
"""Knee bend, jumps, double jumps and falls in which a player has control; helpless fall (35) is not among them."""

RECENT_FRAMES = 14
"""slippi-js 9 looks this many frames back from the landing for the knee bend of a wavedash (``stats/actions.ts``). An air dodge
that shows on all of them is none that was meant to land."""

SAME_HEIGHT = 3.0
"""Melee units. Slopes and moving platforms raise or lower a wavedash by up to 2.4 in 180 real games; platforms are 12 and more
above the knee bend. Ours: slippi-js asks whether the height changes at all after 5 frames of jump."""

LEDGE = (252, 253)
"""Catching the ledge, hanging from it."""

LEDGEDASH_FRAMES = 40
"""Longest from letting go of the ledge to landing; the ledge's intangibility is over before (30 frames). Ours."""

MEWTWO = character_from_name("mewtwo").internal
DOUBLE_JUMP_CANCELLERS = tuple(character_from_name(name).internal for name in ("mewtwo", "ness", "peach", "yoshi"))
"""Their double jump is carried by its animation, which an aerial ends."""

AERIALS, DOUBLE_JUMPS = (65, 69), (27, 28)
DOUBLE_JUMP_CANCEL_FRAMES = 20
"""A double jump cut this early spans low; Mewtwo's rises fastest about frame 30 of 44. Ours."""

TELEPORTS = (353, 358)
"""Start, gone, reappear, on the ground (353–355) and in the air (356–358). Mewtwo's specials are numbered by the order of
``ftMewtwo_MotionState`` in doldecomp/melee, from 341 on."""

SHADOW_BALLS = (341, 350)
CHARGES, RELEASES = (342, 347), (345, 350)
FALLS = (29, 34)


def l_cancels(games: Games) -> pl.LazyFrame:
    """Landings from an aerial attack (action states 70–74); a success where Slippi says that the lag was cancelled.

    Slippi writes ``l_cancel`` on the landing's first frame: 1 cancelled, 2 not; 0 is no try. Older replays (null) tell
    nothing. A landing that was not cancelled but slides off an edge (29–31, 245) is no try: the edge ended its lag.
    """
    slides_off = (later("state").is_between(*EDGE_FALLS) | (later("state") == TEETER)).fill_null(value=False)
    is_try = (pl.col("l_cancel") == 1) | ((pl.col("l_cancel") == 2) & ~slides_off)
    landings = games.spans.with_columns(is_try=is_try).filter(enters(*AERIAL_LANDING), "is_try")
    return events(landings, "l-cancel", success=pl.col("l_cancel") == 1)


def techs_in_place(games: Games) -> pl.LazyFrame:
    """Knockdowns; a success if teched on the spot (199)."""
    return events(_knockdowns(games.spans), "tech in place", success=pl.col("state") == TECH_IN_PLACE)


def tech_rolls(games: Games) -> pl.LazyFrame:
    """Knockdowns; a success if teched rolling (200, 201)."""
    return events(_knockdowns(games.spans), "tech roll", success=pl.col("state").is_between(*TECH_ROLLS))


def missed_techs(games: Games) -> pl.LazyFrame:
    """Knockdowns; a "success" if the tech was missed and the player bounces on the floor (183, 191)."""
    return events(_knockdowns(games.spans), "missed tech", success=pl.col("state").is_in(BOUNCES))


def _knockdowns(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Techs and floor bounces; a bounce out of a hit taken on the floor (183–198) is the same knockdown still.

    Wall and ceiling techs (202–204) are none: missing one does not knock down.
    """
    was_lying = earlier("state").is_between(*LYING).fill_null(value=False)
    return spans.filter(enters(TECH_IN_PLACE, TECH_ROLLS[1]) | (pl.col("state").is_in(BOUNCES) & ~was_lying))


def wavedashes(games: Games) -> pl.LazyFrame:
    """Special landings (43) out of an air dodge (236), at most 14 frames after a knee bend (24) and on its height.

    The dodge may not show: it can land on its first frame, so 43 right out of a jump or fall (24–34) counts too
    (slippi-js's rule).
    """
    return events(_dodge_landings(games.spans).filter(_is_wavedash()), "wavedash")


def wavelands(games: Games) -> pl.LazyFrame:
    """All other special landings (43) as a wavedash's, out of an air dodge (236) of at most 13 frames.

    They come without a recent knee bend, or on another height than it: on a platform. A longer dodge (slippi-js's bound) is one
    that happened to land.
    """
    is_short = pl.col("dodge_frames") < RECENT_FRAMES
    return events(_dodge_landings(games.spans).filter(~_is_wavedash(), is_short), "waveland")


def dash_dances(games: Games) -> pl.LazyFrame:
    """Dashes (20) out of a turn (18) of one frame out of a dash (20): every change of direction counts (slippi-js's rule)."""
    is_turned = (earlier("state") == TURN) & (pl.col("start") - earlier("start") == 1)
    return events(games.spans.filter(pl.col("state") == DASH, is_turned, earlier("state", 2) == DASH), "dash-dance")


def ledgedashes(games: Games) -> pl.LazyFrame:
    """Times the ledge (252, 253) was let go; a success if an air dodge lands within 40 frames.

    Between the ledge and the special landing (43) nothing may lie but jumps and falls (24–34) and an air dodge (236). Being
    hit off the ledge, or leaving it by a getup, attack, roll or ledge jump (254–263), is no try. The mean is of the frames
    from letting go to landing.
    """
    is_flight = pl.col("state").is_between(*JUMPS_AND_FALLS) | (pl.col("state") == AIR_DODGE)
    spans = games.spans.with_columns(
        lets_go=(pl.col("state").is_between(*LEDGE) & later("state").is_between(*JUMPS_AND_FALLS)).fill_null(
            value=False
        ),
        **{f"{name}_then": _next_where(~is_flight, name) for name in ("state", "start")},
    )
    frames = pl.col("start_then") - pl.col("end") - 1
    is_dash = (pl.col("state_then") == SPECIAL_LANDING) & (frames <= LEDGEDASH_FRAMES)
    tries = spans.filter("lets_go").with_columns(is_dash=is_dash.fill_null(value=False))
    return events(tries, "ledgedash", success=pl.col("is_dash"), value=pl.when("is_dash").then(frames))


def _next_where(condition: pl.Expr, name: str) -> pl.Expr:
    """A column of the player's next span that meets a condition."""
    return pl.when(condition).then(name).backward_fill().shift(-1).over("player")


def _dodge_landings(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Special landings out of an air dodge or, the dodge unseen, a controlled jump or fall.

    ``knee_bend`` is the last frame of the player's latest knee bend, ``knee_bend_y`` its height there, ``dodge_frames`` how long
    the dodge shows.
    """
    is_dodge, is_flight = earlier("state") == AIR_DODGE, earlier("state").is_between(*JUMPS_AND_FALLS)
    is_leap = earlier("state") == KNEE_BEND
    marked = spans.with_columns(
        knee_bend=pl.when(is_leap).then(pl.col("start") - 1).forward_fill().over("player"),
        knee_bend_y=pl.when(is_leap).then("y_before").forward_fill().over("player"),
        dodge_frames=pl.when(is_dodge).then(pl.col("start") - earlier("start")).otherwise(0),
    )
    return marked.filter(pl.col("state") == SPECIAL_LANDING, is_dodge | is_flight)


def _is_wavedash() -> pl.Expr:
    is_recent = pl.col("start") - pl.col("knee_bend") <= RECENT_FRAMES
    is_level = (pl.col("y") - pl.col("knee_bend_y")).abs() < SAME_HEIGHT
    return (is_recent & is_level).fill_null(value=False)


def double_jump_cancels(games: Games) -> pl.LazyFrame:
    """Aerials (65–69) of Mewtwo, Ness, Peach and Yoshi; a success right out of at most 20 frames of double jump (27, 28)."""
    jump_frames = pl.col("start") - earlier("start")
    is_cancel = earlier("state").is_between(*DOUBLE_JUMPS) & (jump_frames <= DOUBLE_JUMP_CANCEL_FRAMES)
    spans = games.spans.with_columns(is_cancel=is_cancel.fill_null(value=False))
    aerials = spans.filter(pl.col("character").is_in(DOUBLE_JUMP_CANCELLERS), enters(*AERIALS))
    return events(aerials, "djc aerial", success=pl.col("is_cancel"))


def teleports(games: Games) -> pl.LazyFrame:
    """Mewtwo's teleports (353–358), once each however they change between ground and air."""
    return events(games.spans.filter(pl.col("character") == MEWTWO, enters(*TELEPORTS)), "teleport")


def teleport_ledge_cancels(games: Games) -> pl.LazyFrame:
    """Teleports that end on the ground; a success if Mewtwo slides off an edge into a fall with control (29–34).

    The end on the ground is the reappearance there (355) or the special landing (43) right after one in the air (358);
    sliding off it skips what lag is left. Falling helpless (35), or walking off after the lag, is none.
    """
    is_landing = (pl.col("state") == SPECIAL_LANDING) & earlier("state").is_between(*TELEPORTS)
    ends_there = (pl.col("state") == TELEPORTS[0] + 2) & ~later("state").is_between(*TELEPORTS)
    falls_off = later("state").is_between(*FALLS).fill_null(value=False)
    spans = games.spans.with_columns(is_end=is_landing | ends_there.fill_null(value=True), falls_off=falls_off)
    ends = spans.filter(pl.col("character") == MEWTWO, "is_end")
    return events(ends, "teleport ledge cancel", success=pl.col("falls_off"))


def shadow_balls(games: Games) -> pl.LazyFrame:
    """Mewtwo's uses of Shadow Ball (an unbroken run of 341–350); a success if it is let fly (345, 350), else kept or lost.

    The mean is of the frames charged (342, 347) in that use; what earlier uses had stored is not known here.
    """
    spans = games.spans.filter(pl.col("character") == MEWTWO).with_columns(use=enters(*SHADOW_BALLS).cum_sum())
    is_charge, is_release = pl.col("state").is_in(CHARGES), pl.col("state").is_in(RELEASES)
    uses = (
        spans.filter(pl.col("state").is_between(*SHADOW_BALLS))
        .group_by("use", maintain_order=True)
        .agg(pl.col("player", "start").first(), fires=is_release.any(), charged=length().filter(is_charge).sum())
    )
    return events(uses, "shadow ball", success=pl.col("fires"), value=pl.col("charged"))

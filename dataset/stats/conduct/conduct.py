"""Conduct: how a player behaves over some games, as figures with 95 % intervals over games."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import BUTTONS
from dataset.schema import FRAMES_PER_MINUTE, FRAMES_PER_SECOND
from dataset.stats.bootstrap import Bootstrap, Rate, shown_rate
from dataset.stats.conduct.tally import Tally
from dataset.stats.rules import Flags

Sums = dict[str, NDArray[np.float64]]
"""What each game came to, by name; [N] each."""

TechniqueCounts = Mapping[str, NDArray[np.int64]]
"""By technique, [3, N, 2] for N games and both sides: how often it was done (or succeeded), how often tried, and how many of
the tries may succeed or fail (0 where a technique is only counted)."""


def joined_counts(parts: Sequence[TechniqueCounts]) -> TechniqueCounts:
    """The counts of all games of ``parts``; none for none."""
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in (parts[0] if parts else ())}


FILMED = ("character", "action_state", "x", "y", "percent")
"""Columns of each side that an arena writes for techniques to be found in."""

L_CANCEL = "l-cancel"

NOT_TOLD = "not told here"
"""What tables say of a figure that the frames do not give."""


@dataclass(frozen=True, kw_only=True)
class Technique:
    """How often and how well a technique is done."""

    count: int
    """Times it succeeded, or was done where there is no failing."""
    tries: int
    share: Rate
    """Of the tries that succeeded; None where there is no failing, or nobody tried."""
    per_minute: Rate
    """Successes."""


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How a player behaves. None where it never came to it."""

    presses_per_minute: dict[str, float]
    """Of each button."""
    presses_per_attack: Rate
    """Presses of A, Z or the C-stick for each attack or grab that began."""
    repeated_attacks: Rate
    """Share of attacks and grabs that are the same as the one before."""
    frozen: Rate
    """Share of the time in which it could act that it kept the very same controller for a second or longer."""
    longest_freeze_s: float
    off_stage: Rate
    """Share of its time in the game in the air beyond a ledge or under the stage."""
    recoveries: int
    """Times it was off stage and came back or died."""
    recovered: Rate
    """Share of these in which it came back to the stage or its ledge."""
    techniques: dict[str, Technique | None]
    """By name; None for L-cancels where no landing says whether its lag was cancelled, as in frames of the arena."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what ``dataclasses.asdict`` made of a conduct."""
        rates = {name: Rate(**value) for name, value in values.items() if name in _RATES}
        techniques = {
            name: value and Technique(**value | {part: Rate(**value[part]) for part in ("share", "per_minute")})
            for name, value in values["techniques"].items()
        }
        return cls(**{**values, **rates, "techniques": techniques})


_RATES = ("presses_per_attack", "repeated_attacks", "frozen", "off_stage", "recovered")


def sums_of(tally: Tally, who: Flags, techniques: TechniqueCounts) -> Sums:
    """What each game counted for the players in question.

    Args:
        tally: of N games.
        who: [N, 2] which players these are; of a game where both are, both count.
        techniques: of the same games.
    """
    counted = {
        "lost": tally.stocks_lost,
        "hurt": tally.damage_taken,
        "self_destructs": tally.self_destructs,
        "stocks": tally.stocks,
        "percent": tally.percent,
        "present": tally.present,
        "able": tally.able,
        "frozen": tally.frozen,
        "off_stage": tally.off_stage,
        "attacks": tally.attacks,
        "repeats": tally.repeats,
        "attack_presses": tally.attack_presses,
        "recoveries": tally.recoveries,
        "recovered": tally.recovered,
        **{button: tally.presses[..., place] for place, (button, _) in enumerate(BUTTONS)},
        **{
            f"{name} {what}": counts[place]
            for name, counts in techniques.items()
            for place, what in enumerate(("count", "tries", "rated"))
        },
    }
    sums = {name: np.where(who, counts, 0).sum(axis=1).astype(np.float64) for name, counts in counted.items()}
    longest = np.where(who, tally.longest_freeze, 0).max(axis=1).astype(np.float64)
    return sums | {
        "longest_freeze": longest,
        "minutes": tally.frames * who.sum(axis=1) / FRAMES_PER_MINUTE,
        "controlled_minutes": tally.controlled * who.sum(axis=1) / FRAMES_PER_MINUTE,
    }


def conduct_of(sums: Sums, drawn: Bootstrap) -> Conduct:
    """Conduct over all games.

    Args:
        sums: see ``sums_of``.
        drawn: over the same sums.
    """
    minutes = drawn.total("controlled_minutes")
    return Conduct(
        presses_per_minute={
            button: round(drawn.total(button) / minutes, 2) if minutes else 0.0 for button, _ in BUTTONS
        },
        presses_per_attack=drawn.rate("attack_presses", "attacks"),
        repeated_attacks=drawn.rate("repeats", "attacks"),
        frozen=drawn.rate("frozen", "able"),
        longest_freeze_s=round(float(sums["longest_freeze"].max()) / FRAMES_PER_SECOND, 2),
        off_stage=drawn.rate("off_stage", "present"),
        recoveries=int(drawn.total("recoveries")),
        recovered=drawn.rate("recovered", "recoveries"),
        techniques={
            name.removesuffix(" tries"): _technique(name.removesuffix(" tries"), drawn)
            for name in sums
            if name.endswith(" tries")
        },
    )


def _technique(name: str, drawn: Bootstrap) -> Technique | None:
    tries = int(drawn.total(f"{name} tries"))
    if name == L_CANCEL and tries == 0:
        return None
    return Technique(
        count=int(drawn.total(f"{name} count")),
        tries=tries,
        share=drawn.rate(f"{name} count", f"{name} rated"),
        per_minute=drawn.rate(f"{name} count", "controlled_minutes"),
    )


def conduct_lines(players: Sequence[Conduct]) -> dict[str, list[str]]:
    """Figures of some players side by side for people to read; techniques that none of them tried are left out."""
    lines = [_lines(conduct) for conduct in players]
    tried = {
        name
        for conduct in players
        for name, technique in conduct.techniques.items()
        if technique is not None and technique.tries
    }
    known = {name for conduct in players for name in conduct.techniques}
    names = dict.fromkeys(name for line in lines for name in line if name in tried or name not in known)
    return {name: [line.get(name, NOT_TOLD) for line in lines] for name in names}


def _lines(conduct: Conduct) -> dict[str, str]:
    def share(rate: Rate) -> str:
        return shown_rate(rate, ".1%", "")

    presses = {
        f"{button.replace('_', ' ').upper()} per minute": f"{per_minute:.1f}"
        for button, per_minute in conduct.presses_per_minute.items()
    }
    return presses | {
        "presses per attack": shown_rate(conduct.presses_per_attack, ".2f", "no attack"),
        "attacks repeated": share(conduct.repeated_attacks),
        "time frozen while able to act": share(conduct.frozen),
        "longest freeze": f"{conduct.longest_freeze_s:.1f} s",
        "time off stage": share(conduct.off_stage),
        "recoveries tried": f"{conduct.recoveries:,}",
        "recoveries made": share(conduct.recovered),
        **{name: _technique_line(technique) for name, technique in conduct.techniques.items()},
    }


def _technique_line(technique: Technique | None) -> str:
    if technique is None:
        return NOT_TOLD
    if technique.tries == 0:
        return "none"
    if technique.share.value is None:
        return f"{shown_rate(technique.per_minute, '.2f', '')} per minute"
    return f"{shown_rate(technique.share, '.0%', '')} of {technique.tries:,}"

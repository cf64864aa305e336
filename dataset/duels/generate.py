"""Replays without a game: two scripted players fight a duel, and every frame is written as Slippi 3.18.0 would.

Row *t* holds the state after controller *t* acted, as in real replays, and peppi and libmelee read the files. Without
``frames`` a game lasts until one player is out of stocks (GAME!), with it until then or the clock (TIME!).
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from dataset.duels.duel import DRAMATIC_PAUSE, ENTRY_FRAMES, LONGEST, WAIT_LOOP, Duel
from dataset.duels.moves import TRAITS
from dataset.duels.player import ScriptedPlayer, drill
from dataset.duels.recorder import Recorder
from dataset.errors import ConfigError, require_known
from dataset.melee.controller import NEUTRAL_PAD, Pad
from dataset.melee.ids import STAGES, character_from_name, stage_from_name

Script = Literal["duel", "drill"]
DRILL_FRAMES = 360


def generate_replay(
    path: str | Path,
    *,
    seed: int,
    characters: tuple[str, str] = ("mewtwo", "fox"),
    stage: str = "final_destination",
    frames: int | None = None,
    ports: tuple[int, int] = (1, 2),
    script: Script = "duel",
) -> None:
    """Write one replay, the same bytes for the same arguments.

    Args:
        path: file to write.
        seed: whole number ≥ 0 that decides every choice of both players, and the match id.
        characters: names of :data:`dataset.duels.moves.TRAITS`, one for each port of ``ports``.
        stage: name of a legal stage.
        frames: most frames to play, counted from frame -123; None plays until one player has no stocks left.
        ports: distinct ports 1–4.
        script: "duel", or "drill" for a fixed routine without noise, 360 frames unless ``frames`` says otherwise.

    Raises:
        ConfigError: a name, port or number is out of range.
    """
    _check(seed, frames, ports, script)
    found = [character_from_name(name) for name in characters]
    for character in found:
        require_known("character in a duel", character.name, sorted(TRAITS))
    sides = sorted(zip(ports, found, strict=True))
    limit = frames or (DRILL_FRAMES if script == "drill" else LONGEST)
    where = stage_from_name(stage)
    duel = Duel([character.name for _, character in sides], where, 1 if script == "drill" else WAIT_LOOP)
    recorder = Recorder([character for _, character in sides], [port for port, _ in sides])
    _play(duel, recorder, _players(duel, seed, script), limit)
    recorder.write(path, duel, where, seed, limit, f"generated-{seed}")


def generate_replays(folder: str | Path, count: int, seed: int) -> list[Path]:
    """Write ``count`` duels with Mewtwo in each, on all stages and several opponents, and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    foes = [name for name in TRAITS if name != "mewtwo"]
    paths = []
    for index in range(count):
        path = folder / f"duel-{seed + index:06d}.slp"
        stage = STAGES[(5 - index) % len(STAGES)].name
        generate_replay(path, seed=seed + index, characters=("mewtwo", foes[index % len(foes)]), stage=stage)
        paths.append(path)
    return paths


def _check(seed: int, frames: int | None, ports: tuple[int, int], script: str) -> None:
    if len(set(ports)) != 2 or not set(ports) <= {1, 2, 3, 4}:
        raise ConfigError(f"ports {ports}: must be two different ports 1 to 4; pass for example (1, 2)")
    if seed < 0:
        raise ConfigError(f"seed {seed}: must be 0 or more; choose another")
    if frames is not None and not 1 <= frames <= LONGEST:
        raise ConfigError(f"frames {frames}: must be 1 to {LONGEST}; choose another")
    require_known("script", script, get_args(Script))


def _players(duel: Duel, seed: int, script: Script) -> list[Callable[[], Pad]]:
    """For each side a callable that gives the controller of the next frame."""
    if script == "drill":
        return [drill(facing).__next__ for facing in (1, -1)]
    return [ScriptedPlayer(duel, side, random.Random(f"{seed}-{side}")).choose for side in range(2)]


def _play(duel: Duel, recorder: Recorder, players: list[Callable[[], Pad]], limit: int) -> None:
    over = 0
    for frame in range(limit):
        pads = [NEUTRAL_PAD, NEUTRAL_PAD]
        if frame >= ENTRY_FRAMES:
            pads = [player() for player in players]
        recorder.before(duel, pads)
        duel.step(pads)
        recorder.after(duel)
        over += duel.is_over
        if over > DRAMATIC_PAUSE:
            return

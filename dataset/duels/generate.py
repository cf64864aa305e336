"""Valid replays without a game: two scripted fighters duel, and every frame is written as Slippi 3.18.0 would.

In: a seed and who plays where. Out: ``.slp`` files that peppi and libmelee read. Row *t* holds the state after controller
*t* acted, as in real replays. The file says what it is: ``playedOn`` is "exphil duel", match ids start with "generated-".
What would surprise: without ``frames`` a game lasts until one player is out of stocks (GAME!), with it until then or the
clock (TIME!).
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dataset.duels.duel import STOCKS, Duel
from dataset.duels.fighter import Arena
from dataset.duels.player import Duelist, View, drill, view
from dataset.duels.recorder import Recorder
from dataset.duels.roster import TRAITS
from dataset.errors import ConfigError, require_known
from dataset.melee import ids
from dataset.melee.pad import NEUTRAL
from dataset.slippi import slp

Script = Literal["duel", "drill"]
PLAYED_ON = "exphil duel"
REACTION = 4
"""Frames after which a duelist sees what the other did."""
LONGEST = 28_800
"""Frames after which the clock ends any game: eight minutes."""
DRILL_FRAMES = 360
WAIT_LOOP = 60
_DRAMATIC_PAUSE = 60
"""Frames between the last stock and the end of the game."""
_BLAST_ZONES = {  # left, right, bottom, top
    "fountain_of_dreams": (-198.75, 198.75, -146.25, 202.5),
    "pokemon_stadium": (-230.0, 230.0, -111.0, 180.0),
    "yoshis_story": (-175.7, 173.6, -91.0, 168.0),
    "dream_land": (-255.0, 255.0, -123.0, 250.0),
    "battlefield": (-224.0, 224.0, -108.8, 200.0),
    "final_destination": (-246.0, 246.0, -140.0, 188.0),
}


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
        characters: names of :data:`dataset.duels.roster.TRAITS`, one a port of ``ports``.
        stage: name of a legal stage.
        frames: most frames to play, counted from frame -123; None plays until one player has no stocks left.
        ports: distinct ports 1–4.
        script: "duel", or "drill" for a fixed routine without noise, 360 frames unless ``frames`` says otherwise.

    Raises:
        ConfigError: a name, port or number is out of range.
    """
    _check(seed, characters, frames, ports, script)
    known = ids.stage_from_name(stage)
    sides = sorted(zip(ports, characters, strict=True))
    names = [ids.character_from_name(name) for _, name in sides]
    arena = Arena(known.ledge_x - 2.9, *_BLAST_ZONES[known.name])
    duel = Duel([name.name for name in names], arena, 1 if script == "drill" else WAIT_LOOP)
    recorder = Recorder([name.internal for name in names], [port for port, _ in sides])
    limit = frames or (DRILL_FRAMES if script == "drill" else LONGEST)
    _play(duel, recorder, _players(duel, seed, script), limit)
    slp.write_slp(
        path,
        start=_game_start(recorder.ports, [name.external for name in names], known.slippi, seed, limit),
        frames=recorder.tables(seed, known.name == "fountain_of_dreams"),
        end=_game_end(duel, recorder.ports),
        metadata=_metadata(recorder, seed),
    )


def generate_replays(folder: str | Path, count: int, seed: int) -> list[Path]:
    """Write ``count`` duels with Mewtwo in each, on all stages and several opponents, and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    foes = [name for name in TRAITS if name != "mewtwo"]
    paths = []
    for index in range(count):
        path = folder / f"duel-{seed + index:06d}.slp"
        stage = ids.STAGES[(5 - index) % len(ids.STAGES)].name
        generate_replay(path, seed=seed + index, characters=("mewtwo", foes[index % len(foes)]), stage=stage)
        paths.append(path)
    return paths


def _check(seed: int, characters: tuple[str, str], frames: int | None, ports: tuple[int, int], script: str) -> None:
    for name in characters:
        require_known("character in a duel", ids.character_from_name(name).name, sorted(TRAITS))
    if len(set(ports)) != 2 or not set(ports) <= {1, 2, 3, 4}:
        raise ConfigError(f"ports {ports}: must be two different ports 1 to 4; pass for example (1, 2)")
    if seed < 0:
        raise ConfigError(f"seed {seed}: must be 0 or more; choose another")
    if frames is not None and not 1 <= frames <= LONGEST:
        raise ConfigError(f"frames {frames}: must be 1 to {LONGEST}; choose another")
    require_known("script", script, get_args(Script))


def _players(duel: Duel, seed: int, script: Script) -> list[Any]:
    """Return for each side a callable from the view of the foe to a controller."""
    if script == "drill":
        routines = [drill(1), drill(-1)]
        return [lambda _, routine=routine: next(routine) for routine in routines]
    return [Duelist(fighter, random.Random(f"{seed}-{side}")).choose for side, fighter in enumerate(duel.fighters)]


def _play(duel: Duel, recorder: Recorder, players: Sequence[Any], limit: int) -> None:
    seen: list[list[View]] = [[view(fighter)] * REACTION for fighter in duel.fighters]
    entry = slp.FIRST_CONTROLLED_FRAME - slp.FIRST_FRAME
    over = 0
    for frame in range(limit):
        pads = [NEUTRAL, NEUTRAL]
        if frame >= entry:
            pads = [player(seen[1 - side][-REACTION]) for side, player in enumerate(players)]
        recorder.before(duel, pads)
        duel.step(pads)
        recorder.after(duel)
        for views, fighter in zip(seen, duel.fighters, strict=True):
            views.append(view(fighter))
        over += any(fighter.stocks == 0 for fighter in duel.fighters)
        if over > _DRAMATIC_PAUSE:
            return


def _game_start(ports: Sequence[int], characters: Sequence[int], stage: int, seed: int, limit: int) -> slp.Table:
    start = np.zeros(1, slp.LAYOUTS[slp.GAME_START])
    start["version"] = [*slp.WRITTEN_VERSION, 0]
    start["bitfields"] = [0x32, 0x01, 0x86, 0x4C, 0xC3]
    start["item_spawn"] = start["self_destruct_score"] = -1
    start["stage"], start["timer_s"], start["damage_ratio"] = stage, -(-limit // 60), 1.0
    players = start["players"][0]
    players["character"], players["kind"] = 0x1A, 3
    players["offense"] = players["defense"] = players["scale"] = 1.0
    for port, character in zip(ports, characters, strict=True):
        players["character"][port - 1], players["kind"][port - 1], players["stocks"][port - 1] = character, 0, STOCKS
        start["display_name"][0, port - 1] = f"Duelist {port}".encode()
        start["connect_code"][0, port - 1] = f"DUEL＃{port}".encode("cp932")
    start["random_seed"] = seed % (1 << 32)
    start["is_frozen"], start["language"], start["game_number"] = 1, 1, 1
    start["minor_scene"], start["major_scene"] = 2, 8
    start["match_id"] = f"generated-{seed}".encode()
    return start


def _game_end(duel: Duel, ports: Sequence[int]) -> slp.Table:
    end = np.zeros(1, slp.LAYOUTS[slp.GAME_END])
    first, second = duel.fighters
    end["method"] = 2 if 0 in (first.stocks, second.stocks) else 1
    end["quitter"], end["placements"] = -1, -1
    second_leads = (second.stocks, -second.percent) > (first.stocks, -first.percent)
    end["placements"][0, [port - 1 for port in ports]] = [int(second_leads), int(not second_leads)]
    return end


def _metadata(recorder: Recorder, seed: int) -> dict[str, Any]:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * (seed % 1_000_000))
    players = {
        str(port - 1): {
            "names": {"netplay": f"Duelist {port}", "code": f"DUEL#{port}"},
            "characters": {str(character): recorder.num_frames},
        }
        for port, character in zip(recorder.ports, recorder.characters, strict=True)
    }
    return {
        "startAt": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastFrame": slp.FIRST_FRAME + recorder.num_frames - 1,
        "players": players,
        "playedOn": PLAYED_ON,
    }

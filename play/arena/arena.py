"""Holds an arena: loads who takes part, plays every pairing in a world, and gives the results."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dataset.errors import CheckpointError, ConfigError, require_known
from dataset.io.atomic import replacing, require_writable
from dataset.io.runs import find_run
from dataset.melee.ids import STAGES, character_from_name, stage_from_name
from dataset.schema import FRAMES_PER_SECOND
from dataset.stats.conduct.conduct import Conduct, TechniqueCounts, joined_counts
from dataset.stats.conduct.tally import Tally
from play.arena.cohort import Entrant, Pairing, plan, play_cohort, teams_of
from play.arena.film import Film
from play.arena.ratings import MISSING, Rating, is_installed, rate
from play.arena.results import Row, matrix, row_of
from play.arena.watch import Watch
from play.runtime.load import Say
from play.runtime.rows import load_rows
from play.signals import stopped_by_signals
from play.worlds.world import World, WorldKind

MOST_COMPARED = 200
"""Games of a run that are compared with people's, as many as of people at most."""

SELF = "self"
"""What ``--against`` may be in every world, beside a run and the world's own player."""

CountTechniques = Callable[[Sequence[Path]], Sequence[TechniqueCounts]]
"""Counts what films show (``play.arena.film``)."""

Compare = Callable[[str, Sequence[Path]], dict[str, Any] | None]
"""Compares games of a character with those of people (``play.games.statistics.likeness``)."""

OnFrame = Callable[[str, int, int], None]
"""Is given what is played, frames played and frames to play at most, over all pairings."""


@dataclass(frozen=True, kw_only=True)
class ArenaOptions:
    """Who plays whom, where and how long."""

    runs: Sequence[str]
    world: str
    against: str | None = None
    """Whom every run meets, beside the other runs: the world's own player, itself, or a run; None: the world's own player."""
    games: int = 32
    """Of every pairing."""
    seconds: float = 120.0
    """Of the longest games, counted from Slippi frame -123."""
    stages: Sequence[str] = ()
    """In turns; none: all legal ones."""
    seed: int = 0
    character: str | None = None
    """Of the runs; None: what each imitates."""
    opponent_characters: Sequence[str] = ()
    """Of whom every run meets, in turns; none: what a run imitates, and all others for the world's own player."""
    level: int | None = None
    """Of the world's own player; None: the strongest."""
    temperature: float = 1.0
    runtime: str = "auto"
    save_replays: Path | None = None
    """Folder that every game is saved in."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an arena came to."""

    rows: list[Row]
    names: list[str]
    """Of the runs, in the order given."""
    matrix: list[list[float | None]]
    """Net stocks per minute of each run against each other."""
    ratings: list[Rating] | None
    """Of all who met somebody else, the strongest first; none for a single run. None: the library that fits them is missing."""
    game_frames: int
    seconds: float
    replays: list[Path]
    likeness: list[dict[str, Any] | None] = field(default_factory=list)
    """How like people each run plays, against whom all of them met; None where that is not told, and empty if nobody asked."""


def hold_arena(
    options: ArenaOptions,
    worlds: Mapping[str, Callable[[], WorldKind]],
    say: Say,
    on_frame: OnFrame,
    now: Callable[[], float] = time.perf_counter,
    *,
    count: CountTechniques | None = None,
    imitated: Sequence[Conduct] = (),
    compare: Compare | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Play every pairing and count.

    Args:
        options: who, where and how long.
        worlds: the kinds that there are, by name; only the one that is played in is called for.
        say: takes a line for each run that is loaded.
        on_frame: called after every frame of a cohort.
        now: a clock in seconds.
        count: counts techniques; None: they are not counted.
        imitated: whom each run imitates, for its rows; none: unknown.
        compare: compares the runs' games with people's; None: they are not compared.
        watch: shows games while they are played, and paces them.

    Raises:
        CheckpointError: a run is not there, or cannot be played.
        ConfigError: a setting is unknown or out of range, or cannot take effect.
    """
    kind = worlds[require_known("--world", options.world, worlds)]()
    _require_able(options, kind)
    num_frames = _frames(options, kind)
    stages = [stage_from_name(name).name for name in options.stages] or [stage.name for stage in STAGES]
    chosen = _chosen(options, kind)
    pairings = _pairings(options, kind, chosen, say)
    files = _files(options.save_replays, options.games, pairings)
    if len(options.runs) > 1 and not is_installed():
        say(MISSING)
    turns = _turns(options.games, kind.at_once)
    begin = now()
    with stopped_by_signals(), TemporaryDirectory(prefix="exphil-arena-") as scratch:
        tallies: list[Tally] = []
        kept = files
        if compare is not None and kind.can_save and options.save_replays is None:
            compared = _files(Path(scratch) / "replays", options.games, pairings[: len(options.runs)])
            kept = compared + files[len(compared) :]
        films = [Path(scratch) / f"{number:06d}" for number in range(len(pairings) * len(turns))]
        in_turns = product(zip(pairings, kept, strict=True), turns)
        for ((pairing, paths), turn), folder in zip(in_turns, films, strict=True):
            games = plan(pairing, options.games, stages, options.seed)[turn]
            about = f"{pairing.own.name} against {pairing.other.name}"
            before, total = len(tallies) * num_frames, len(films) * num_frames
            tally = Tally(len(games))
            if watch is not None:
                watch.begin(pairing, games, num_frames, has_platforms=kind.has_platforms)
            with closing(kind.make(num_frames)) as world, closing(Film(folder)) as film:
                for frames in play_cohort(world, games, teams_of(pairing, games), num_frames):
                    tally.add(frames)
                    film.add(frames)
                    if watch is not None:
                        watch.show(frames)
                    on_frame(about, before + int(tally.frames.max()), total)
                film.end(tally.frames)
                _save(world, paths[turn])
            tallies.append(tally)
        seconds = now() - begin
        counts = [] if count is None else count(films)
        firsts = zip(pairings[: len(options.runs)], kept, strict=False)
        likeness = [] if compare is None else [_compared(*first, compare, say) for first in firsts]
    names = [pairing.own.name for pairing in pairings[: len(options.runs)]]
    people = dict(zip(names, imitated, strict=False))
    rows = [
        row_of(
            pairing.own.name,
            pairing.other.name,
            Tally.joined(tallies[first : first + len(turns)]),
            [game.side for game in plan(pairing, options.games, stages, options.seed)],
            options.seed,
            techniques=joined_counts(counts[first : first + len(turns)]),
            imitated=people.get(pairing.own.name),
        )
        for pairing, first in zip(pairings, range(0, len(tallies), len(turns)), strict=True)
    ]
    return Outcome(
        rows=rows,
        names=names,
        matrix=matrix(rows, names),
        ratings=_ratings(rows, names, kind.own_player, options.seed),
        game_frames=sum(int(tally.frames.sum()) for tally in tallies),
        seconds=seconds,
        replays=[path for paths in files for path in paths],
        likeness=likeness,
    )


def _compared(pairing: Pairing, replays: Sequence[Path], compare: Compare, say: Say) -> dict[str, Any] | None:
    """How like people a run plays; None where its games do not tell, after saying why."""
    own, other = pairing.own, pairing.other
    (character,) = own.characters
    if not replays:
        say(f"run {own.name}: not compared with people, since this world writes no replays")
        return None
    if other.name != SELF and character in other.characters:
        say(
            f"run {own.name}: not compared with people, since {other.name} plays {character}, too, and seats change; another "
            "--opponent-character tells them apart"
        )
        return None
    return compare(character, replays[:MOST_COMPARED])


def _save(world: World, paths: Sequence[Path]) -> None:
    for number, path in enumerate(paths):
        with replacing(path) as temporary:
            world.save(number, temporary)


def _require_able(options: ArenaOptions, kind: WorldKind) -> None:
    """Refuse what this kind of world cannot do."""
    if options.against is None and kind.own_player is None:
        raise ConfigError(
            f"--world {options.world}: has no player of its own, found no --against; give --against {SELF} or a run"
        )
    if options.level is not None and options.against not in (None, kind.own_player):
        raise ConfigError(
            f"--level {options.level}: is the strength of the {kind.own_player or 'scripted'} player, so it has no effect with "
            f"--against {options.against}; leave one of them out"
        )
    if options.save_replays is not None and not kind.can_save:
        raise ConfigError(
            f"--save-replays {options.save_replays}: {options.world} writes no replays; leave it out, or play in another world"
        )


def _turns(num_games: int, at_once: int | None) -> list[slice]:
    """The games of a pairing that are played together, turn by turn."""
    size = at_once or num_games
    return [slice(first, first + size) for first in range(0, num_games, size)]


def _ratings(rows: Sequence[Row], names: Sequence[str], own_player: str | None, seed: int) -> list[Rating] | None:
    """Of several runs and whom they met, where the world's own player has 0 if it took part."""
    if len(names) < 2:
        return []
    if not is_installed():
        return None
    is_anchored = any(row.against == own_player for row in rows)
    return rate([row for row in rows if row.against != SELF], own_player if is_anchored else None, seed)


def _frames(options: ArenaOptions, kind: WorldKind) -> int:
    """The most frames of a game."""
    longest_s = kind.longest / FRAMES_PER_SECOND
    num_frames = round(options.seconds * FRAMES_PER_SECOND) if 0 < options.seconds <= longest_s else 0
    if num_frames == 0:
        raise ConfigError(
            f"--seconds {options.seconds:g}: games in {options.world} last up to {longest_s:g} seconds; choose at least 0.02 and "
            "at most that"
        )
    return num_frames


def _pairings(options: ArenaOptions, kind: WorldKind, chosen: tuple[str, ...], say: Say) -> list[Pairing]:
    """Every run against ``--against``, then every pair of runs; the first ones are in the order of the runs."""
    foe = _foe(options, kind)
    named = _named([*options.runs, *foe], kind.own_player)
    entrants = [_entrant(run, named[run], options, kind, say, options.character) for run in options.runs]
    foes = [_entrant(run, named[run], options, kind, say, None) for run in foe]
    others = _others(options, entrants, foes, kind, chosen)
    return [
        Pairing(own=own, other=other, number=number)
        for number, (own, other) in enumerate([*zip(entrants, others, strict=True), *combinations(entrants, 2)])
    ]


def _foe(options: ArenaOptions, kind: WorldKind) -> list[str]:
    """The run that ``--against`` names, if it is one."""
    if options.against in (None, SELF, kind.own_player):
        return []
    try:
        find_run(options.against)
    except CheckpointError as error:
        known = ", ".join(name for name in (kind.own_player, SELF) if name is not None)
        raise ConfigError(
            f"--against {options.against}: in {options.world} must be {known} or a run, found none of them ({error})"
        ) from error
    return [options.against]


def _named(runs: Sequence[str], own_player: str | None) -> dict[str, str]:
    """A short name for each run: its folder's, or the argument itself where folders are called alike."""
    weights = [find_run(run)[1].resolve() for run in runs]
    if len(set(weights)) < len(weights):
        raise ConfigError(
            f"exphil arena: all runs meet each other, so each is named once, found one twice among {', '.join(runs)}; "
            f"leave one out, or give --against {SELF}"
        )
    folders = [path.parent.name for path in weights]
    if names := [name for name in folders if name in (SELF, own_player)]:
        raise ConfigError(
            f"run {names[0]}: must not be called what --against calls another player, found its folder {names[0]}; rename it"
        )
    return {run: folder if folders.count(folder) == 1 else run for folder, run in zip(folders, runs, strict=True)}


def _entrant(run: str, name: str, options: ArenaOptions, kind: WorldKind, say: Say, character: str | None) -> Entrant:
    loaded, rows = load_rows(run, options.temperature, options.runtime)
    character = character or loaded.character
    if character is None:
        raise ConfigError(
            f"run {name}: imitates everybody, so it has no character of its own; give --character, one of "
            f"{', '.join(kind.characters)}"
        )
    one_by_one = ", one game at a time, since an int8 graph has one scale for all" if loaded.is_int8 else ""
    say(f"run {name}: {loaded.runtime}{one_by_one}, delay {loaded.delay}, plays {character}")
    return Entrant(name=name, characters=(_known(character, options, kind.characters),), run=loaded, rows=rows)


def _known(character: str, options: ArenaOptions, characters: Sequence[str]) -> str:
    return require_known(f"character in {options.world}", character_from_name(character).name, characters)


def _allowed(options: ArenaOptions, kind: WorldKind) -> Sequence[str]:
    """Characters of ``--against``."""
    is_own = options.against in (None, kind.own_player)
    return kind.own_characters if is_own and kind.own_characters else kind.characters


def _chosen(options: ArenaOptions, kind: WorldKind) -> tuple[str, ...]:
    """The characters that are asked for of ``--against``; its level is checked, too."""
    if options.level is not None:
        require_known("--level", str(options.level), [str(each) for each in kind.levels])
    return tuple(_known(name, options, _allowed(options, kind)) for name in options.opponent_characters)


def _others(
    options: ArenaOptions,
    entrants: Sequence[Entrant],
    foes: Sequence[Entrant],
    kind: WorldKind,
    chosen: tuple[str, ...],
) -> list[Entrant]:
    """Whom each entrant meets because of ``--against``."""
    if options.against == SELF:
        return [replace(own, name=SELF, characters=chosen or own.characters) for own in entrants]
    if foes:
        return [replace(foes[0], characters=chosen or foes[0].characters)] * len(entrants)
    assert kind.own_player is not None, "otherwise --against names a run, or self"
    return [
        Entrant(
            name=kind.own_player,
            characters=chosen or tuple(name for name in _allowed(options, kind) if name != own.characters[0]),
            level=kind.levels[-1] if options.level is None else options.level,
        )
        for own in entrants
    ]


def _files(folder: Path | None, num_games: int, pairings: Sequence[Pairing]) -> list[list[Path]]:
    """Where each game of each pairing is saved, if at all."""
    if folder is None:
        return [[] for _ in pairings]
    require_writable(folder, f"--save-replays {folder}")
    names = [f"{_plain(pairing.own.name)}-{_plain(pairing.other.name)}" for pairing in pairings]
    if len(set(names)) < len(names):
        names = [f"{name}-{pairing.number}" for name, pairing in zip(names, pairings, strict=True)]
    files = [[folder / f"{name}-{number:04d}.slp" for number in range(num_games)] for name in names]
    taken = [path for paths in files for path in paths if path.exists()]
    if taken:
        raise ConfigError(
            f"--save-replays {folder}: must not hold these games already, found {taken[0].name}; give another folder"
        )
    return files


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)

"""``exphil arena``: how policies play, in a world that answers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.reporting.terminal import ProgressLines, command_line, examples, stdout_console, to_stderr
from play.commands.play import require_terminal

if TYPE_CHECKING:
    from play.arena.arena import ArenaOptions, Compare, OnFrame, Outcome


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "arena",
        epilog=examples(
            "exphil arena first",
            "exphil arena first --games 64 --seconds 60 --stages battlefield,final_destination --seed 1",
            "exphil arena first --against self --save-replays arena-replays",
            "exphil arena first --store data/mewtwo",
            "exphil arena first second third --level 2 --json",
            "exphil arena first --world melee-sim --against second --opponent-character fox",
            "exphil arena first --world dolphin --dolphin dolphin/ --iso melee.iso --level 5 --games 8 --dolphins 4",
            "exphil arena first second --html arena.html",
            "exphil arena first --games 4 --watch",
        ),
    )(arena)


def arena(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="Run folders, run names or checkpoint files.", show_default=False),
    ],
    world: Annotated[
        str,
        typer.Option(
            metavar="duel|melee-sim|dolphin",
            help="Where they play: in the built-in duel, which needs neither a disc nor Dolphin; in melee-sim-light, an exact "
            "simulator that you install yourself; or in Dolphin. Neither the real melee-sim-light nor a real Dolphin has "
            "been tried yet.",
        ),
    ] = "duel",
    against: Annotated[
        str | None,
        typer.Option(
            metavar="scripted|cpu|self|RUN",
            help="Whom every run meets: scripted, the player of the generated duels; cpu, Dolphin's; itself, or another run. "
            "Several runs also meet each other.",
            show_default="scripted in duels, cpu in Dolphin",
        ),
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(
            min=1, help="Strength of the scripted player (1 to 3) or the CPU (1 to 9).", show_default="the strongest"
        ),
    ] = None,
    games: Annotated[
        int, typer.Option(min=1, max=100_000, help="Games of every pairing; all of them start together.")
    ] = 32,
    seconds: Annotated[
        float, typer.Option(help="A game ends after this many seconds, if nobody has won before.")
    ] = 120.0,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…", help="Stages to play on in turns, separated by commas.", show_default="all six legal ones"
        ),
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Character of the runs.", show_default="the one each run imitates")
    ] = None,
    opponent_character: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Characters of --against in turns, separated by commas.",
            show_default="all others for scripted or cpu, for a run the one it imitates",
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of sampling, above 0.")] = 1.0,
    runtime: Annotated[
        str, typer.Option(help="onnx, torch, or auto: ONNX Runtime if exphil export was run, else PyTorch.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same games.")] = 0,
    store: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL of the store that the runs were trained on, to show the conduct of the people they imitate, "
            "measured in at most 50 of its train games, and what about each run is most unlike them.",
            show_default=False,
        ),
    ] = None,
    save_replays: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Save every game as a Slippi replay in this folder."),
    ] = None,
    is_watched: Annotated[
        bool, typer.Option("--watch", help="Show one game live in the terminal, at 60 frames per second at most.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Also write the results as a page.", show_default=False),
    ] = None,
    dolphin: Annotated[
        Path | None,
        typer.Option(
            help="Slippi Dolphin: the executable, its folder, or Slippi Launcher's netplay folder.",
            show_default=False,
            rich_help_panel="In Dolphin",
        ),
    ] = None,
    iso: Annotated[
        Path | None,
        typer.Option(
            help="Melee, NTSC 1.02, with everything unlocked.", show_default=False, rich_help_panel="In Dolphin"
        ),
    ] = None,
    dolphins: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Games side by side, each in a Dolphin of its own; the others follow in turns.",
            show_default="1",
            rich_help_panel="In Dolphin",
        ),
    ] = None,
    headless: Annotated[
        bool,
        typer.Option(
            "--headless",
            help="No windows; needs a build without one: mainline nogui, or ExiAI.",
            rich_help_panel="In Dolphin",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Judge policies by playing: stocks and damage per minute with 95 % intervals over games, and how they behave.

    Seats change after every game. A game that ends early is not replaced, so short games do not count more often.
    """
    from rich.console import Console

    from dataset.io.atomic import require_writable
    from play.arena.arena import ArenaOptions, hold_arena
    from play.arena.film import count_techniques
    from play.arena.imitated import measure_imitated
    from play.arena.ratings import MISSING
    from play.arena.tables import conduct_cells, matrix_cells, ratings_cells, results_cells, terminal_table
    from play.arena.watch import Watch
    from play.worlds.kinds import refuse_idle, worlds

    refuse_idle(world, dolphin=dolphin, iso=iso, dolphins=dolphins, headless=headless)
    options = ArenaOptions(
        runs=runs,
        world=world,
        against=against,
        games=games,
        seconds=seconds,
        stages=_names(stages),
        seed=seed,
        character=character,
        opponent_characters=_names(opponent_character),
        level=level,
        temperature=temperature,
        runtime=runtime,
        save_replays=save_replays,
    )
    if is_watched:
        require_terminal("--watch")
    if html is not None:
        require_writable(html.parent, f"--html {html}")
    if store is None and not as_json:
        to_stderr(
            "conduct of the imitated people: not shown, since runs do not know where their store is; give --store STORE"
        )
    imitated = [] if store is None else measure_imitated(runs, store, to_stderr)
    shown = Watch(Console(stderr=True, highlight=False)) if is_watched else nullcontext()
    with shown as watch, _progress(games, is_hidden=is_watched) as on_frame:
        kinds = worlds(dolphin, iso, dolphins, headless)
        outcome = hold_arena(
            options,
            kinds,
            to_stderr,
            on_frame,
            count=count_techniques,
            imitated=imitated,
            compare=None if store is None else _comparison(store),
            watch=watch,
        )
    rate = outcome.game_frames / outcome.seconds if outcome.seconds else 0.0
    to_stderr(f"{outcome.game_frames:,} game frames in {outcome.seconds:.1f} s, {rate:,.0f} per second")
    if html is not None:
        _write_page(html, options, outcome)
        to_stderr(f"page: {html}")
    if as_json:
        result: dict[str, Any] = {
            "world": world,
            "games": games,
            "rows": [row.as_json() for row in outcome.rows],
            "runs": outcome.names,
            "matrix": outcome.matrix,
            "ratings": None if outcome.ratings is None else [rating.as_json() for rating in outcome.ratings],
            "game_frames": outcome.game_frames,
            "seconds": round(outcome.seconds, 3),
            "replays": [str(path) for path in outcome.replays],
            "likeness": [
                None if each is None else {"run": name, **each}
                for name, each in zip(outcome.names, outcome.likeness, strict=False)
            ],
            "html": None if html is None else str(html),
        }
        typer.echo(json.dumps(result))
        return
    console = stdout_console()
    tables = [results_cells(outcome.rows), *map(conduct_cells, outcome.rows)]
    if len(outcome.names) > 1:
        tables.append(matrix_cells(outcome.matrix, outcome.names))
    if outcome.ratings:
        tables.append(ratings_cells(outcome.ratings))
    for table in tables:
        console.print(terminal_table(table))
    for name, likeness in zip(outcome.names, outcome.likeness, strict=False):
        if likeness is not None:
            console.print(f"{name} beside people who play {likeness['character']}:", markup=False)
            for line in likeness["summary"]:
                console.print(line, markup=False)
    if outcome.ratings is None:
        to_stderr(MISSING)
    if save_replays is not None:
        to_stderr(f"{len(outcome.replays)} replays: {save_replays}")


def _comparison(store: str) -> "Compare":
    """Compares games with those of people in a store."""
    from tempfile import TemporaryDirectory

    from play.games.statistics import likeness, make_store

    def compare(character: str, replays: Sequence[Path]) -> dict[str, Any] | None:
        with TemporaryDirectory(prefix="exphil-likeness-") as scratch:
            games = Path(scratch) / "store"
            return likeness(games, character, None, store, _unsaid) if make_store(replays, games, _unsaid) else None

    def _unsaid(line: str) -> None:
        """The commands name files that are gone afterwards; only what went wrong is said."""
        if not line.startswith("$"):
            to_stderr(line)

    return compare


def _write_page(path: Path, options: "ArenaOptions", outcome: "Outcome") -> None:
    import sys
    from datetime import date

    from dataset.io.atomic import replacing
    from dataset.version import VERSION
    from play.arena.page import page_html

    footer = f"exphil {VERSION} · {date.today().isoformat()}"
    with replacing(path) as temporary:
        text = page_html(options, outcome, command_line(*sys.argv[1:]), footer)
        temporary.write_text(text, encoding="utf-8")


def _names(text: str | None) -> list[str]:
    return [] if text is None else text.split(",")


@contextmanager
def _progress(num_games: int, *, is_hidden: bool) -> "Iterator[OnFrame]":
    """Show how far the arena is: a bar on a terminal, a line every few seconds elsewhere."""
    if is_hidden:
        yield lambda about, done, total: None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("", total=None)
            yield lambda about, done, total: bar.update(task, description=about, completed=done, total=total)
        return
    lines, first = ProgressLines(), (0.0, 0)

    def on_frame(about: str, done: int, total: int) -> None:
        nonlocal first
        now = time.monotonic()
        if first[1] == 0:  # loading took its time before the first frame
            first = (now, done)
        left_s = (now - first[0]) / max(1, done - first[1]) * (total - done)
        lines(f"{about}: {num_games} games, frame {done:,} of {total:,} in all, about {left_s:.0f} s left")

    yield on_frame

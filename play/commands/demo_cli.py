"""``exphil demo``: arguments only; the stages run in ``play.commands.demo``."""

from pathlib import Path
from typing import Annotated

import typer

from dataset.reporting.command_lines import examples


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "exphil demo",
            "exphil demo --replays ~/Slippi --character mewtwo --minutes 5 --folder demo",
        ),
    )(demo)


def demo(
    replays: Annotated[
        Path | None, typer.Option(help="A folder or archive of replays; default: generated ones.", show_default=False)
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Whom to imitate; default: whoever was picked most often.", show_default=False)
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=0, help="About how long to train on two server cores; rounded to whole epochs, at least one."),
    ] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where everything goes; must be new.", show_default="a temporary folder")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:
    """Run the whole line: ingest, stats, train, eval, and play against the stand-in."""
    import json
    import tempfile

    from play.commands.demo import run_demo

    def say(line: str) -> None:
        typer.echo(line, err=True)

    where = folder or Path(tempfile.mkdtemp(prefix="exphil-demo-"))
    stages = run_demo(folder=where, replays=replays, character=character, minutes=minutes, say=say)
    say("\n" + "\n".join(f"{stage.name:>10} {stage.seconds:7.1f} s" for stage in stages))
    if replays is None:
        say("The duels were generated: these figures say that the line works, nothing about Melee.")
    say(f"Everything lies in {where}. Next: exphil ingest YOUR_REPLAYS --store data/mine")
    if as_json:
        typer.echo(json.dumps({"stages": [stage.as_json() for stage in stages]}))

"""``exphil inspect``: frames of a store or of a replay file side by side, drawn by ``dataset.features.inspect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dataset.reporting.terminal import examples, stdout_console

if TYPE_CHECKING:
    from dataset.schema import Columns
    from ingest.options import Rollback


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "inspect",
        epilog=examples(
            "exphil inspect --store data/mewtwo --frames 300:340",
            "exphil inspect --replay game.slp",
        ),
    )(inspect_command)


def inspect_command(
    store: Annotated[Path | None, typer.Option(help="Folder or URL of a store.", show_default=False)] = None,
    replay: Annotated[Path | None, typer.Option(help="A .slp file instead of a store.", show_default=False)] = None,
    replay_id: Annotated[
        str | None, typer.Option("--id", help="Id of the replay in the store.", show_default="the first")
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Slippi frames from A up to B, 60 per second.", show_default="the first jump"),
    ] = None,
    rollback: Annotated[
        str | None,
        typer.Option(
            metavar="[last|first]",
            help="With --replay: which copy of a re-simulated frame to show.",
            show_default="last",
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="With --replay: codec of the controllers.", show_default="axis17")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Show state, previous controller and target of single frames side by side, and list what an encoded frame holds."""
    from dataset.codecs.registry import get_codec
    from dataset.errors import ConfigError
    from dataset.features import inspect
    from dataset.features.layout import ALL
    from dataset.reporting import tables

    if (store is None) == (replay is None):
        raise ConfigError("inspect: needs exactly one of --store STORE and --replay FILE; give one")
    if replay is not None:
        if replay_id is not None:
            raise ConfigError("--id: names a replay of a store, so it cannot take effect beside --replay; drop one")
        name, columns, codec_name, features = replay.name, _parsed(replay, rollback or "last"), codec or "axis17", ALL
    else:
        if rollback is not None or codec is not None:
            raise ConfigError("--rollback and --codec: a store has its own, so they cannot take effect beside --store")
        name, columns, codec_name, features = _stored(cast("Path", store), replay_id)
    first, last = inspect.first_jump(columns) if frames is None else inspect.parse_frames(frames)
    chosen = get_codec(codec_name)
    rows = inspect.frame_rows(columns, chosen, first, last)
    if as_json:
        typer.echo(tables.json_line({"replay": name, "frames": rows, "layout": inspect.layout(chosen, features)}))
        return
    console = stdout_console()
    console.print(f"replay {name}, {len(columns['frame']):,} frames", soft_wrap=True)
    for table in (*inspect.frame_tables(rows, columns), *inspect.layout_tables(chosen, features)):
        console.print(table)


def _parsed(replay: Path, rollback: str) -> "Columns":
    """Columns of a file."""
    from dataset.errors import ConfigError, ExphilError, ReplayError
    from ingest.replay.parse import parse_columns

    if rollback not in ("last", "first"):
        raise ConfigError(f"--rollback: must be 'last' or 'first', found '{rollback}'")
    if not replay.is_file():
        raise ConfigError(f"--replay {replay}: must be a .slp file, found none; correct the path")
    try:
        return parse_columns(replay, rollback=cast("Rollback", rollback)).columns
    except ReplayError as error:
        raise ExphilError(f"--replay {replay}: {str(error).removeprefix('replay: ')}") from error


def _stored(folder: Path, replay_id: str | None) -> "tuple[str, Columns, str, str]":
    """Id, columns, codec and feature groups of a store's replay, the first if none is named."""
    from dataset.errors import ConfigError
    from dataset.store.replay_table import ingested_rows
    from dataset.store.store import Store

    store = Store(folder)
    if replay_id is None:
        rows = ingested_rows(store.replays())
        if not rows:
            raise ConfigError(f"store {folder}: inspect needs a replay, found none; ingest some first")
        replay_id = str(rows[0]["id"])
    return replay_id, store.columns(replay_id), store.manifest.codec, store.manifest.features

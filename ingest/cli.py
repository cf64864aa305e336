"""``exphil ingest``: arguments only; the work is ``ingest.jobs.pipeline``'s. ``exphil inspect`` is ``ingest.inspect``'s."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dataset.reporting.terminal import examples
from ingest import inspect as show
from ingest.options import DEFAULT_MIN_FRAMES


def register(app: typer.Typer) -> None:
    """Add the stage's commands."""
    app.command(
        "ingest",
        epilog=examples(
            "exphil ingest ~/Slippi --store data/mewtwo --character mewtwo",
            "exphil ingest ranked.7z more/ --store data/all --dry-run",
            "exphil ingest ~/Slippi --store data/mewtwo --character mewtwo --watch",
        ),
    )(ingest_command)
    show.register(app)


def ingest_command(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Folders, .slp, .slp.gz, .zip, .7z or .tar* files, or URLs of such (https://…/a.zip, s3://…). "
            "Without any, ingest works through data_manifest.yaml.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder or URL (s3://…) of the store to make or to add to.", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only this dataset of data_manifest.yaml.", show_default="all")
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Only games in which someone picked this character.", show_default="any")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="axis17 or joint: how window shards hold controllers.", show_default="the store's, or axis17"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes; with 1, this process does the work.", show_default="one per CPU"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Work on a Ray cluster instead (needs the extra ray): host:port, ray://host:port, or 'local'. "
            "Every node must see sources and store under the same paths.",
            show_default=False,
        ),
    ] = None,
    split_seed: Annotated[
        int | None, typer.Option(help="Seed that assigns replays to train, val and test.", show_default="0")
    ] = None,
    rollback: Annotated[
        str | None,
        typer.Option(
            metavar="[last|first]",
            help="Which copy of a re-simulated frame to keep: last is how the game finally went, first what a live "
            "client saw.",
            show_default="last",
        ),
    ] = None,
    keep_names: Annotated[
        bool | None,
        typer.Option("--keep-names", help="Keep names, connect codes and paths; otherwise salted hashes of them."),
    ] = None,
    include_cpu: Annotated[
        bool | None, typer.Option("--include-cpu", help="Also accept games with CPU players.")
    ] = None,
    keep_all: Annotated[
        bool | None,
        typer.Option(
            "--keep-all",
            help="Keep the frames of rejected two-player games (CPU, short, no damage …) for stats. The games stay "
            "'rejected' and are in no split and no window. Games of 3 or 4 players are never kept.",
        ),
    ] = None,
    min_frames: Annotated[
        int | None,
        typer.Option(help="Shortest game to accept, in frames of 1/60 s.", show_default=str(DEFAULT_MIN_FRAMES)),
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Start the store over.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep looking for new replays, and wait for those that are still being written."),
    ] = False,
    interval: Annotated[
        float | None, typer.Option(help="With --watch: seconds between two searches.", show_default="10")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Parse and judge, write nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the parser prints when it panics.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Find replays, parse and judge them, and append them to a store.

    Replays that the store already knows are skipped. Damaged ones are counted by reason and never stop the ingest.
    """
    from dataset.errors import ConfigError
    from ingest import command

    filters: dict[str, Any] = {
        "character": character,
        "codec": codec,
        "split_seed": split_seed,
        "rollback": rollback,
        "keep_names": keep_names,
        "include_cpu": include_cpu,
        "keep_all": keep_all,
        "min_frames": min_frames,
    }
    filters = {name: value for name, value in filters.items() if value is not None}
    per_run = {"workers": workers, "ray": ray, "rebuild": rebuild, "dry_run": dry_run, "is_verbose": verbose}
    if interval is not None and not watch:
        raise ConfigError("--interval: is the pace of --watch, so it cannot take effect without it; add --watch")
    if watch:
        pace = command.INTERVAL_S if interval is None else interval
        reports = command.watch_sources(sources or [], store, dataset, filters | per_run, pace)
    elif sources:
        reports = [command.ingest_sources(sources, store, dataset, filters | per_run)]
    else:
        reports = command.ingest_datasets(store, dataset, filters, per_run)
    if as_json:
        typer.echo(command.as_json(reports))

"""``exphil train``: one policy, by imitation, into a run folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.errors import ConfigError
from dataset.reporting.terminal import printable
from train.commands import options
from train.commands.options import say

if TYPE_CHECKING:
    from train.callbacks import Callback


@options.with_settings()
def train(
    name: Annotated[str | None, typer.Option("--name", help="Run name: the folder under --runs.")] = None,
    store: options.StorePath = None,
    replays: options.ReplaysPath = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of all runs.")] = Path("runs"),
    preset: options.Preset = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print every setting and where it came from, and train nothing.")
    ] = False,
    init_from: Annotated[
        str | None,
        typer.Option("--init-from", help="Start from the weights of a run with the same architecture.", metavar="RUN"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run of that name.")] = False,
    tolerate_bad_shards: options.TolerateBadShards = 0,
    device: options.Device = "auto",
    compile_mode: options.CompileMode = "auto",
    num_workers: options.NumWorkers = 1,
    wandb: options.Wandb = False,
    as_json: options.AsJson = False,
    **flags: Any,
) -> None:
    """Train a policy by imitation and save it in RUNS/NAME."""
    from train.config.resolve import resolve, table
    from train.config.run_config import to_json

    resolved = resolve(preset, options.given(flags))
    if show_config:
        typer.echo(printable(table(resolved)), err=as_json)
        if as_json:
            typer.echo(json.dumps({"config": to_json(resolved.config), "origins": dict(resolved.origins)}))
        return
    from train.data.stores import find_store
    from train.distributed import is_first_rank, num_ranks
    from train.fit.train_run import train_run

    if name is None:
        raise ConfigError("--name: says where the run is kept, found none; give e.g. --name first")
    if replays is not None and num_ranks() > 1:
        raise ConfigError(
            f"--replays {replays}: is ingested by one process, found {num_ranks()}; run 'exphil ingest' first, then give "
            "them its --store"
        )
    config = resolved.config
    folder = find_store(store, replays, config.data.character, config.policy.codec)
    summary = train_run(
        config,
        folder,
        name,
        runs=runs,
        device=device,
        callbacks=make_callbacks(wandb),
        is_resumed=resume,
        init_from=init_from,
        tolerate_bad_shards=tolerate_bad_shards,
        compile_mode=compile_mode,
        num_workers=num_workers,
    )
    if is_first_rank():
        _show_summary(summary, folder, as_json)


def make_callbacks(is_logged: bool) -> "list[Callback]":
    """What reports on a training: lines on the terminal, the run's page, and a logging service if wanted."""
    from train.callbacks import ProgressReport, RunPage, WandbLog

    return [ProgressReport(), RunPage(), *([WandbLog()] if is_logged else [])]


def _show_summary(summary: dict[str, Any], source: str, as_json: bool) -> None:
    from dataset.store.store import Store
    from train.measure.report import next_step, summary_text

    has_test = any(shard.samples for shard in Store(source).manifest.of_kind("windows", "test"))
    say(summary_text(summary))
    say(f"next: {next_step(summary, source, 'test' if has_test else 'val')}")
    if as_json:
        typer.echo(json.dumps(summary))

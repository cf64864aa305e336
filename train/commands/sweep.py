"""``exphil sweep``: arguments only; what an axis varies is decided in ``train.compare.variants``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dataset.reporting.command_lines import examples
from train.cli import AsJson, Device, ReplaysPath, StorePath, TolerateBadShards
from train.commands.compare import (
    NOT_SHARED,
    Detail,
    Minutes,
    Preset,
    Quick,
    RunsFolder,
    Seeds,
    Wandb,
    carry_out_and_show,
    choose_preset,
    require_one_length,
)
from train.commands.train_options import PROCESS_FLAGS, given, with_train_flags


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "sweep",
        epilog=examples(
            "exphil sweep size --store data/mewtwo --train-character mewtwo --backbone mamba --minutes-per-run 10",
            "exphil sweep delay --store data/mewtwo --values 0,4 --epochs 2 --name delays",
            "exphil sweep data --store data/mewtwo --train-character mewtwo --epochs 3",
        ),
    )(sweep)


@with_train_flags(*NOT_SHARED)
def sweep(
    ctx: typer.Context,
    axis: Annotated[str, typer.Argument(help="size, window, features, delay, codec or data.")],
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            help="Joined by commas; default: 64,256,512 wide; 30,60,120 frames of a window; every way to give features "
            "(or choices of --features: all,all-items,base); 0,2,4,6 frames of delay; every codec; 8,16,32,64,all replays.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder sweep-AXIS-NAME under --runs; default: the preset.")
    ] = None,
    store: StorePath = None,
    replays: ReplaysPath = None,
    runs: RunsFolder = Path("runs"),
    seeds: Seeds = 1,
    minutes_per_run: Minutes = None,
    quick: Quick = False,
    detailed: Detail = True,
    preset: Preset = None,
    tolerate_bad_shards: TolerateBadShards = 0,
    device: Device = "auto",
    wandb: Wandb = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Train one backbone along an axis, all else alike, and put the variants into one results matrix.

    Goes on where it was stopped when it is given again. data: val NLL against the frames trained on, with a power law.
    """
    from train.compare.plan import Plan
    from train.compare.stores import fit_to_split, planned_on_stores
    from train.compare.variants import sweep_configs

    said, chosen = given(ctx, flags), choose_preset(preset, quick)
    require_one_length(said, minutes_per_run)
    folder = runs / f"sweep-{axis}-{name or chosen or 'defaults'}"
    configs = sweep_configs(axis, values, chosen, said, seeds)
    planned = planned_on_stores(configs, store, replays)
    if axis == "data":
        planned = fit_to_split(planned, lambda text: typer.echo(text, err=True))
    plan = Plan(kind=f"sweep {axis}", runs=planned, minutes=minutes_per_run)
    options = {"tolerate_bad_shards": tolerate_bad_shards, **{name: flags[name] for name in PROCESS_FLAGS}}
    carry_out_and_show(plan, folder, device, wandb, as_json, options, detailed)

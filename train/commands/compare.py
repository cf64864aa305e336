"""``exphil compare`` and ``exphil sweep``: several runs, alike but for their backbone or one setting, in one results matrix."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.reporting.command_lines import examples, option_name
from train.commands.options import (
    AsJson,
    CompileMode,
    Device,
    NumWorkers,
    Preset,
    ReplaysPath,
    StorePath,
    TolerateBadShards,
    given,
    is_typed,
    with_settings,
)

if TYPE_CHECKING:
    from train.compare.plan import Plan
    from train.compare.results import Results

ONE_RUN_ONLY = "layer_lr_decay"
"""The setting that needs ``--init-from``, which only ``exphil train`` has: compared runs begin alike."""

RunsFolder = Annotated[Path, typer.Option("--runs", help="Where the comparison's folder lies.")]
Seeds = Annotated[int, typer.Option("--seeds", help="Runs of each variant, with seeds from --seed on.")]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes-per-run",
        help="Train each run for M minutes instead of --epochs: CPU minutes on a CPU, minutes on an accelerator, without "
        "validation. A few steps are timed first; the steps that M minutes hold are kept in the plan, and the learning "
        "rate's schedule ends at the last of them.",
        metavar="M",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="The preset quick: whether all of it runs.")]
Detail = Annotated[
    bool,
    typer.Option(
        "--detailed/--no-detailed",
        help="Measure also situations, sticks and calibration on the test replays; about four times the work.",
    ),
]
Wandb = Annotated[bool, typer.Option("--wandb", help="Log every run to Weights & Biases.")]


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(
        "compare",
        epilog=examples(
            "exphil compare --store data/mewtwo --train-character mewtwo --minutes-per-run 10 --seeds 2 --name six",
            "exphil compare --store data/mewtwo --backbones gru,mamba --quick",
            "exphil compare first second --store data/mewtwo --name mine",
        ),
    )(compare)
    app.command(
        "sweep",
        epilog=examples(
            "exphil sweep size --store data/mewtwo --train-character mewtwo --backbone mamba --minutes-per-run 10",
            "exphil sweep delay --store data/mewtwo --values 0,4 --epochs 2 --name delays",
            "exphil sweep data --store data/mewtwo --train-character mewtwo --epochs 3",
        ),
    )(sweep)


@with_settings("backbone", "temporal", ONE_RUN_ONLY)
def compare(
    ctx: typer.Context,
    finished: Annotated[
        list[str] | None,
        typer.Argument(help="Finished runs to put side by side on --store, instead of training.", metavar="RUN"),
    ] = None,
    backbones: Annotated[
        str | None, typer.Option("--backbones", help="Joined by commas; default: all six.", metavar="A,B,...")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder compare-NAME under --runs; default: the preset.")
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
    compile_mode: CompileMode = "auto",
    num_workers: NumWorkers = 1,
    wandb: Wandb = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Train every backbone alike and put them into one results matrix, or do so with finished runs.

    Goes on where it was stopped when it is given again.
    """
    from train.compare.plan import Plan
    from train.compare.variants import backbone_configs, parse_backbones, plan_runs
    from train.data.stores import find_store

    settings, chosen = given(flags), _choose_preset(preset, quick)
    folder = runs / f"compare-{name or chosen or 'defaults'}"
    if finished:
        _require_nothing_to_train(ctx, settings)
        source = find_store(store, replays, None, _codec_of(finished[0]))
        _compare_finished(finished, folder, source, device, detailed, as_json)
        return
    _require_one_length(settings, minutes_per_run)
    configs = backbone_configs(chosen, settings, parse_backbones(backbones), seeds)
    config = configs[0][1]
    source = find_store(store, replays, config.data.character, config.policy.codec)
    plan = Plan(kind="compare", runs=plan_runs(configs, source, _digest(source)), minutes=minutes_per_run)
    options = {"tolerate_bad_shards": tolerate_bad_shards, "compile_mode": compile_mode, "num_workers": num_workers}
    _carry_out(plan, folder, device, wandb, as_json, options, detailed)


@with_settings(ONE_RUN_ONLY)
def sweep(
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
    compile_mode: CompileMode = "auto",
    num_workers: NumWorkers = 1,
    wandb: Wandb = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Train one backbone along an axis, all else alike, and put the variants into one results matrix.

    Goes on where it was stopped when it is given again. data: val NLL against the frames trained on, with a power law.
    """
    from train.compare.axes import sweep_configs
    from train.compare.plan import Plan
    from train.compare.stores import fit_to_split, planned_on_stores

    settings, chosen = given(flags), _choose_preset(preset, quick)
    _require_one_length(settings, minutes_per_run)
    folder = runs / f"sweep-{axis}-{name or chosen or 'defaults'}"
    configs = sweep_configs(axis, values, chosen, settings, seeds)
    planned = planned_on_stores(configs, store, replays)
    if axis == "data":
        planned = fit_to_split(planned, lambda text: typer.echo(text, err=True))
    plan = Plan(kind=f"sweep {axis}", runs=planned, minutes=minutes_per_run)
    options = {"tolerate_bad_shards": tolerate_bad_shards, "compile_mode": compile_mode, "num_workers": num_workers}
    _carry_out(plan, folder, device, wandb, as_json, options, detailed)


def _carry_out(
    plan: "Plan", folder: Path, device: str, wandb: bool, as_json: bool, options: Mapping[str, Any], is_detailed: bool
) -> None:
    """Train what is not trained yet, measure, show; ``options`` are those of ``train_run`` that are no settings."""
    from train.commands.train import make_callbacks
    from train.compare.execute import carry_out

    results = carry_out(
        plan,
        folder,
        device=device,
        options=options,
        is_detailed=is_detailed,
        callbacks=lambda: make_callbacks(wandb),
        say=lambda text: typer.echo(text, err=True),
    )
    _show(results, folder, as_json)


def _compare_finished(
    finished: list[str], folder: Path, store: str, device: str, is_detailed: bool, as_json: bool
) -> None:
    from train.compare.finished_runs import fold_runs
    from train.compare.page.page import write_page
    from train.compare.results import make_results
    from train.fit.train_run import find_device

    runs = fold_runs(finished, store)
    results = make_results(
        folder,
        runs,
        kind="compare",
        device=find_device(device),
        is_detailed=is_detailed,
        say=lambda text: typer.echo(text, err=True),
    )
    write_page(folder, results)
    _show(results, folder, as_json)


def _show(results: "Results", folder: Path, as_json: bool) -> None:
    from train.compare.page.page import PAGE
    from train.compare.terminal_table import show_results

    show_results(results, to_stderr=as_json)
    typer.echo(f"next: open {folder / PAGE} in a browser", err=True)
    if as_json:
        keys = ("rows", "baselines", "differences", "law", "failed", "notes")
        typer.echo(json.dumps({**{key: results[key] for key in keys}, "report": str(folder / PAGE)}))
    if results["failed"]:
        raise typer.Exit(1)


def _choose_preset(preset: str | None, quick: bool) -> str | None:
    """The preset that ``--preset`` or ``--quick`` names."""
    from dataset.errors import ConfigError

    if quick and preset not in (None, "quick"):
        raise ConfigError(f"--quick: means --preset quick, found --preset {preset} too; leave one out")
    return "quick" if quick else preset


def _require_one_length(settings: Mapping[str, Any], minutes: float | None) -> None:
    """Refuse a length in minutes beside another."""
    from dataset.errors import ConfigError

    if minutes is None:
        return
    if minutes <= 0:
        raise ConfigError(f"--minutes-per-run: above 0, found {minutes}; give e.g. 10")
    for name in ("epochs", "max_steps"):
        if name in settings:
            raise ConfigError(
                f"{option_name(name)} {settings[name]}: the minutes decide how long a run is, found --minutes-per-run "
                f"{minutes:g} too; leave one out"
            )


def _require_nothing_to_train(ctx: typer.Context, settings: Mapping[str, Any]) -> None:
    from dataset.errors import ConfigError

    of_training = {*settings, "backbones", "seeds", "minutes_per_run", "quick", "preset", "compile_mode", "num_workers"}
    used = [one.opts[0] for one in ctx.command.params if one.name in of_training and is_typed(ctx, one.name)]
    if used:
        raise ConfigError(
            f"{', '.join(used)}: say how to train, found finished runs that are only put side by side; leave them out"
        )


def _codec_of(run: str) -> str:
    from train.runs.run_folder import find_run, load_record

    codec: str = load_record(find_run(run)[0])["codec"]
    return codec


def _digest(store: str) -> str:
    from dataset.store.store import Store

    return Store(store).manifest.digest

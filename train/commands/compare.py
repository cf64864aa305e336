"""``exphil compare``: arguments only; what is trained and measured is decided in ``train.compare``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.reporting.command_lines import examples, option_name
from train.cli import AsJson, Device, ReplaysPath, StorePath, TolerateBadShards, find_store, make_callbacks
from train.commands.train_options import PROCESS_FLAGS, given, with_train_flags

if TYPE_CHECKING:
    from train.compare.plan import Plan
    from train.compare.results import Results

NOT_SHARED = ("resume", "init_from", "layer_lr_decay", "show_config")
"""Options of train that make no sense for several runs: these resume by themselves, begin alike, and keep a plan."""

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
Detail = Annotated[
    bool,
    typer.Option(
        "--detailed/--no-detailed",
        help="Measure also situations, sticks and calibration on the test replays; about four times the work.",
    ),
]
Preset = Annotated[
    str | None, typer.Option("--preset", help="standard, full or production: settings that flags then override.")
]
Wandb = Annotated[bool, typer.Option("--wandb", help="Log every run to Weights & Biases.")]
Quick = Annotated[bool, typer.Option("--quick", help="The preset quick: whether all of it runs.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(
        "compare",
        epilog=examples(
            "exphil compare --store data/mewtwo --train-character mewtwo --minutes-per-run 10 --seeds 2 --name six",
            "exphil compare --store data/mewtwo --backbones gru,mamba --quick",
            "exphil compare first second --store data/mewtwo --name mine",
        ),
    )(compare)


@with_train_flags("backbone", "temporal", *NOT_SHARED)
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
    wandb: Wandb = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Train every backbone alike and put them into one results matrix, or do so with finished runs.

    Goes on where it was stopped when it is given again.
    """
    from train.compare.plan import Plan
    from train.compare.variants import backbone_configs, parse_backbones, plan_runs

    said, chosen = given(ctx, flags), choose_preset(preset, quick)
    folder = runs / f"compare-{name or chosen or 'defaults'}"
    if finished:
        _require_nothing_to_train(said, chosen, minutes_per_run, seeds, backbones)
        _fold(finished, folder, find_store(store, replays, None, _codec_of(finished[0])), device, detailed, as_json)
        return
    require_one_length(said, minutes_per_run)
    configs = backbone_configs(chosen, said, parse_backbones(backbones), seeds)
    config = configs[0][1]
    source = find_store(store, replays, config.data.character, config.policy.codec)
    plan = Plan(kind="compare", runs=plan_runs(configs, source, _digest(source)), minutes=minutes_per_run)
    options = {"tolerate_bad_shards": tolerate_bad_shards, **{name: flags[name] for name in PROCESS_FLAGS}}
    carry_out_and_show(plan, folder, device, wandb, as_json, options, detailed)


def carry_out_and_show(
    plan: "Plan", folder: Path, device: str, wandb: bool, as_json: bool, options: Mapping[str, Any], is_detailed: bool
) -> None:
    """Train what is not trained yet, measure, show; ``options`` are those of ``train_run`` that are no settings."""
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


def _fold(finished: list[str], folder: Path, store: str, device: str, is_detailed: bool, as_json: bool) -> None:
    from train.compare.page.page import write_page
    from train.compare.results import make_results
    from train.compare.stores import fold_runs
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
        told = ("rows", "baselines", "differences", "law", "failed", "notes")
        typer.echo(json.dumps({**{name: results[name] for name in told}, "report": str(folder / PAGE)}))
    if results["failed"]:
        raise typer.Exit(1)


def choose_preset(preset: str | None, quick: bool) -> str | None:
    """The preset that ``--preset`` or ``--quick`` names."""
    from dataset.errors import ConfigError

    if quick and preset not in (None, "quick"):
        raise ConfigError(f"--quick: means --preset quick, found --preset {preset} too; leave one away")
    return "quick" if quick else preset


def require_one_length(said: dict[str, Any], minutes: float | None) -> None:
    """Refuse a length in minutes beside another."""
    from dataset.errors import ConfigError

    if minutes is None:
        return
    if minutes <= 0:
        raise ConfigError(f"--minutes-per-run: above 0, found {minutes}; give e.g. 10")
    for flag in ("epochs", "max_steps"):
        if flag in said:
            raise ConfigError(
                f"{option_name(flag)} {said[flag]}: the minutes decide how long a run is, found --minutes-per-run {minutes:g} "
                "too; leave one away"
            )


def _require_nothing_to_train(
    said: dict[str, Any], preset: str | None, minutes: float | None, seeds: int, backbones: str | None
) -> None:
    from dataset.errors import ConfigError

    used = [option_name(flag) for flag in said]
    others = {"--preset": preset, "--minutes-per-run": minutes, "--backbones": backbones, "--seeds": seeds - 1 or None}
    used += [option for option, value in others.items() if value is not None]
    if used:
        raise ConfigError(
            f"{', '.join(used)}: say how to train, found finished runs that are only put side by side; leave one away"
        )


def _codec_of(run: str) -> str:
    from train.run_folder import find_run, load_record

    codec: str = load_record(find_run(run)[0])["codec"]
    return codec


def _digest(store: str) -> str:
    from dataset.store.store import Store

    return Store(store).manifest.digest

"""``exphil compare`` and ``exphil sweep``: several runs, alike but for their backbone or one setting, in one results matrix."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.errors import ConfigError
from dataset.reporting.terminal import option_name
from train.commands import options
from train.commands.options import say

if TYPE_CHECKING:
    from train.compare.arena import Arena
    from train.compare.plan import Plan
    from train.compare.results import Results

ONE_RUN_ONLY = "layer_lr_decay"
"""The setting that needs ``--init-from``, which only ``exphil train`` has: compared runs begin alike."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """What both commands take besides the settings of a run."""

    store: options.StorePath = None
    replays: options.ReplaysPath = None
    runs: Annotated[Path, typer.Option("--runs", help="Folder in which the comparison gets a folder.")] = Path("runs")
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each variant; their seeds count up from --seed.")] = 1
    minutes_per_run: Annotated[
        float | None,
        typer.Option(
            "--minutes-per-run",
            help="Train each run for M minutes instead of --epochs: CPU minutes on a CPU, minutes on an accelerator, without "
            "validation. A few steps are timed first; the steps that M minutes hold are kept in the plan, and the learning "
            "rate's schedule ends at the last of them.",
            metavar="M",
        ),
    ] = None
    quick: Annotated[bool, typer.Option("--quick", help="The preset quick, to see whether everything runs.")] = False
    detailed: Annotated[
        bool,
        typer.Option(
            "--detailed/--no-detailed",
            help="Also measure situations, sticks and calibration on the test replays; about four times the work.",
        ),
    ] = True
    arena: Annotated[
        str | None,
        typer.Option(
            "--arena",
            help="Also let each run play against the scripted player of this world: duel. Net stocks per minute go into the "
            "matrix.",
            metavar="WORLD",
        ),
    ] = None
    games: Annotated[
        int | None, typer.Option("--games", min=1, help="Games of each run in --arena.", show_default="32")
    ] = None
    preset: options.Preset = None
    tolerate_bad_shards: options.TolerateBadShards = 0
    device: options.Device = "auto"
    compile_mode: options.CompileMode = "auto"
    num_workers: options.NumWorkers = 1
    wandb: options.Wandb = False
    as_json: options.AsJson = False

    @property
    def chosen_preset(self) -> str | None:
        """The preset that ``--preset`` or ``--quick`` names."""
        if self.quick and self.preset not in (None, "quick"):
            raise ConfigError(f"--quick: means --preset quick, found --preset {self.preset} too; leave one out")
        return "quick" if self.quick else self.preset

    def folder(self, kind: str, name: str | None) -> Path:
        """Where the runs lie: under the name, or that of the preset."""
        return self.runs / f"{kind}-{name or self.chosen_preset or 'defaults'}"

    def require_one_length(self, settings: Mapping[str, Any]) -> None:
        """Refuse a length in minutes beside another."""
        minutes = self.minutes_per_run
        if minutes is None:
            return
        if minutes <= 0:
            raise ConfigError(f"--minutes-per-run: above 0, found {minutes}; give e.g. 10")
        for name in ("epochs", "max_steps"):
            if name in settings:
                raise ConfigError(
                    f"{option_name(name)} {settings[name]}: the minutes decide how long a run is, found "
                    f"--minutes-per-run {minutes:g} too; leave one out"
                )


@options.with_settings("backbone", "temporal", ONE_RUN_ONLY, besides=Series)
def compare(
    ctx: typer.Context,
    finished: Annotated[
        list[str] | None,
        typer.Argument(help="Finished runs to put side by side on --store, instead of training.", metavar="RUN"),
    ] = None,
    backbones: Annotated[
        str | None, typer.Option("--backbones", help="Joined by commas; default: all seven.", metavar="A,B,...")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder compare-NAME under --runs; default: the preset.")
    ] = None,
    **flags: Any,
) -> None:
    """Train every backbone alike and compare them in one results matrix, or compare finished runs.

    If it was stopped, the same command continues.
    """
    from dataset.io.runs import find_run
    from dataset.store.store import Store
    from train.compare.arena import arena_of
    from train.compare.plan import Plan
    from train.compare.variants import backbone_configs, parse_backbones, plan_runs
    from train.data.stores import find_store
    from train.runs.run_folder import load_record

    series, settings = options.gathered(Series, flags), options.given(flags)
    arena = arena_of(series.arena, series.games)
    folder = series.folder("compare", name)
    if finished:
        _require_nothing_to_train(ctx, settings)
        source = find_store(series.store, series.replays, None, load_record(find_run(finished[0])[0])["codec"])
        _compare_finished(finished, source, folder, series, arena)
        return
    series.require_one_length(settings)
    configs = backbone_configs(series.chosen_preset, settings, parse_backbones(backbones), series.seeds)
    config = configs[0][1]
    source = find_store(series.store, series.replays, config.data.character, config.policy.codec)
    planned = plan_runs(configs, source, Store(source).manifest.digest)
    _carry_out(Plan(kind="compare", runs=planned, minutes=series.minutes_per_run), folder, series, arena)


@options.with_settings(ONE_RUN_ONLY, besides=Series)
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
    **flags: Any,
) -> None:
    """Train one backbone with several values of one setting, all else alike, and compare them in one results matrix.

    If it was stopped, the same command continues. The axis data also fits a power law of val NLL over the frames trained on.
    """
    from train.compare.arena import arena_of
    from train.compare.plan import Plan
    from train.compare.stores import fit_to_split, planned_on_stores
    from train.compare.variants import sweep_configs

    series, settings = options.gathered(Series, flags), options.given(flags)
    arena = arena_of(series.arena, series.games)
    series.require_one_length(settings)
    configs = sweep_configs(axis, values, series.chosen_preset, settings, series.seeds)
    planned = planned_on_stores(configs, series.store, series.replays)
    if axis == "data":
        planned = fit_to_split(planned, say)
    plan = Plan(kind=f"sweep {axis}", runs=planned, minutes=series.minutes_per_run)
    _carry_out(plan, series.folder(f"sweep-{axis}", name), series, arena)


def _carry_out(plan: "Plan", folder: Path, series: Series, arena: "Arena | None") -> None:
    """Train what is not trained yet, measure, play, show."""
    from train.commands.train import make_callbacks
    from train.compare.execute import carry_out

    results = carry_out(
        plan,
        folder,
        device=series.device,
        options={name: getattr(series, name) for name in ("tolerate_bad_shards", "compile_mode", "num_workers")},
        is_detailed=series.detailed,
        arena=arena,
        callbacks=lambda: make_callbacks(series.wandb),
        say=say,
    )
    _show(results, folder, series.as_json)


def _compare_finished(finished: list[str], store: str, folder: Path, series: Series, arena: "Arena | None") -> None:
    from train.compare.page.page import write_page
    from train.compare.results import make_results
    from train.compare.stores import fold_runs
    from train.fit.train_run import find_device

    runs, device = fold_runs(finished, store), find_device(series.device)
    results = make_results(
        folder, runs, kind="compare", device=device, is_detailed=series.detailed, arena=arena, say=say
    )
    write_page(folder, results)
    _show(results, folder, series.as_json)


def _show(results: "Results", folder: Path, as_json: bool) -> None:
    from train.compare.page.page import PAGE
    from train.compare.terminal_table import show_results

    show_results(results, to_stderr=as_json)
    say(f"next: open {folder / PAGE} in a browser")
    if as_json:
        keys = ("rows", "baselines", "differences", "law", "arena", "nll_rank_correlation", "failed", "notes")
        typer.echo(json.dumps({**{key: results[key] for key in keys}, "report": str(folder / PAGE)}))
    if results["failed"] or any(row["arena_error"] for row in results["rows"]):
        raise typer.Exit(1)


def _require_nothing_to_train(ctx: typer.Context, settings: Mapping[str, Any]) -> None:
    of_training = {*settings, "backbones", "seeds", "minutes_per_run", "quick", "preset", "compile_mode", "num_workers"}
    used = [one.opts[0] for one in ctx.command.params if one.name in of_training and options.is_given(ctx, one.name)]
    if used:
        raise ConfigError(
            f"{', '.join(used)}: say how to train, found finished runs that are only put side by side; leave them out"
        )

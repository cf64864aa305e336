"""A plan carried out: its runs trained, measured and reported, going on wherever it was stopped.

In: a plan and its folder. Out: the results. The surprise: what is planned before the first run, a number of steps for every run
of a budget in minutes, is planned once; who gives the command again gets the very same runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dataset.errors import ConfigError, ExphilError
from train.callbacks.base import Callback
from train.compare.page.page import write_page
from train.compare.plan import Plan, Planned, keep_plan, kept_runs
from train.compare.results import Finished, Results, make_results
from train.compare.series import Outcomes, train_series
from train.data.load import load_data
from train.distributed import num_ranks
from train.fit.pace import within_minutes
from train.fit.train_run import find_device


def carry_out(
    plan: Plan,
    folder: Path,
    *,
    device: str,
    options: Mapping[str, Any],
    is_detailed: bool,
    callbacks: Callable[[], Iterable[Callback]],
    say: Callable[[str], None],
) -> Results:
    """Train what is not trained yet, measure all that is, and write ``results.json`` and ``report.html``.

    Args:
        plan: what is asked for.
        folder: where it is kept.
        device: as of ``exphil train``.
        options: of ``train_run`` that are no settings; ``tolerate_bad_shards`` acts on measuring too.
        is_detailed: whether test replays are measured in detail.
        callbacks: new ones for every run.
        say: told how far it has come.

    Raises:
        ConfigError: the folder holds a plan for something else, or several processes were started.
        ExphilError: it was interrupted, or every run failed.
    """
    if num_ranks() > 1:
        raise ConfigError(
            f"{folder.name}: its runs are trained one after another by one process, found {num_ranks()}; leave torchrun away, or "
            "train each with 'exphil train' and fold them with 'exphil compare RUN RUN'"
        )
    target, tolerated = find_device(device), options["tolerate_bad_shards"]
    runs = kept_runs(folder, plan)
    if runs is None:
        runs = _planned(plan, target, tolerated, say)
        keep_plan(folder, plan, runs)
    outcomes = train_series(folder, runs, device=device, callbacks=callbacks, options=options, say=say)
    _require_results(folder, runs, outcomes)
    results = make_results(
        folder,
        [Finished(label=one.label, run=folder / one.run, store=one.store) for one in runs if one.run in outcomes.done],
        kind=plan.kind,
        failed=[{"run": run, "error": error} for run, error in outcomes.failed.items()],
        device=target,
        is_detailed=is_detailed,
        tolerate_bad_shards=tolerated,
        say=say,
    )
    write_page(folder, results)
    return results


def _planned(
    plan: Plan, device: torch.device, tolerate_bad_shards: int, say: Callable[[str], None]
) -> tuple[Planned, ...]:
    """The runs with as many steps as the plan's minutes hold."""
    if plan.minutes is None:
        return plan.runs
    steps: dict[str, Planned] = {}
    for one in plan.runs:
        if one.label in steps:  # another seed is as long as the first
            continue
        loaded = load_data(one.store, one.config, tolerate_bad_shards)
        config = within_minutes(one.config, loaded, plan.minutes, device)
        say(f"{one.label}: {plan.minutes:g} minutes are {config.optim.max_steps} steps")
        steps[one.label] = replace(one, config=config)
    return tuple(replace(one, config=replace(one.config, optim=steps[one.label].config.optim)) for one in plan.runs)


def _require_results(folder: Path, runs: Sequence[Planned], outcomes: Outcomes) -> None:
    if outcomes.is_interrupted:
        raise ExphilError(
            f"{folder.name}: stopped with {len(outcomes.done)} of {len(runs)} runs done; the same command goes on"
        )
    if not outcomes.done:
        errors = set(outcomes.failed.values())
        told = errors if len(errors) == 1 else (f"{run}: {error}" for run, error in outcomes.failed.items())
        raise ExphilError(f"{folder.name}: needs a run that ends, found that all {len(runs)} failed: {'; '.join(told)}")

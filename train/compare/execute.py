"""Carries out the plan of a comparison: trains its runs one after another, measures them and writes the report.

The same command continues where it was stopped: finished runs are kept, interrupted ones resume exactly, and failed ones are
tried again from their last checkpoint. A failure stops no other run. A budget in minutes becomes a number of steps for every
run once, before the first run, and stays.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import replacing
from train.callbacks import Callback
from train.compare.arena import Arena
from train.compare.page.page import write_page
from train.compare.plan import Plan, Planned, keep_plan, kept_runs
from train.compare.results import Finished, Results, make_results
from train.data.load import load_data
from train.distributed import num_ranks
from train.fit.pace import within_minutes
from train.fit.train_run import find_device, train_run

OUTCOMES = "outcomes.json"


@dataclass
class Outcomes:
    """How far a series has come."""

    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Summaries by run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Errors by run."""
    is_interrupted: bool = False

    def save(self, folder: Path) -> None:
        """Write ``outcomes.json``."""
        with replacing(folder / OUTCOMES) as temporary:
            temporary.write_text(json.dumps({"done": self.done, "failed": self.failed}, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Outcomes":
        """What ``save`` wrote, or nothing yet."""
        path = folder / OUTCOMES
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else cls()


def train_series(
    folder: Path,
    runs: Sequence[Planned],
    *,
    device: str,
    callbacks: Callable[[], Iterable[Callback]],
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> Outcomes:
    """Train what is not finished.

    Args:
        folder: where the run folders lie.
        runs: the plan's.
        device: as of ``exphil train``.
        callbacks: new ones for every run.
        options: of ``train_run`` that are no settings.
        say: receives a line when a run begins or fails.
    """
    outcomes = Outcomes.load(folder)
    outcomes.failed.clear()
    for place, planned in enumerate(runs):
        if planned.run in outcomes.done:
            continue
        say(f"run {place + 1} of {len(runs)}: {planned.run}")
        try:
            summary = _train(folder, planned, device, callbacks(), options)
        except Exception as error:  # noqa: BLE001 (whatever stops one run, the others go on and its reason is kept)
            kind = "" if isinstance(error, ExphilError) else f"{type(error).__name__}: "
            outcomes.failed[planned.run] = f"{kind}{error}"
            say(f"{planned.run} failed: {error}")
        else:
            if summary["is_interrupted"]:
                outcomes.is_interrupted = True
                return outcomes
            outcomes.done[planned.run] = summary
        outcomes.save(folder)
    return outcomes


def _train(
    folder: Path, planned: Planned, device: str, callbacks: Iterable[Callback], options: Mapping[str, Any]
) -> dict[str, Any]:
    return train_run(
        planned.config,
        planned.store,
        planned.run,
        runs=folder,
        device=device,
        callbacks=callbacks,
        is_resumed=(folder / planned.run / "config.json").is_file(),
        **options,
    )


def carry_out(
    plan: Plan,
    folder: Path,
    *,
    device: str,
    options: Mapping[str, Any],
    is_detailed: bool,
    arena: Arena | None,
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
        arena: what every run plays once it is measured, if anything.
        callbacks: new ones for every run.
        say: receives lines about progress.

    Raises:
        ConfigError: the folder holds a plan for something else, or several processes were started.
        ExphilError: it was interrupted, or every run failed.
    """
    if num_ranks() > 1:
        raise ConfigError(
            f"{folder.name}: its runs are trained one after another by one process, found {num_ranks()}; leave out torchrun, or "
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
        arena=arena,
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
            f"{folder.name}: stopped with {len(outcomes.done)} of {len(runs)} runs done; the same command continues"
        )
    if not outcomes.done:
        errors = set(outcomes.failed.values())
        named = errors if len(errors) == 1 else (f"{run}: {error}" for run, error in outcomes.failed.items())
        raise ExphilError(
            f"{folder.name}: needs a run that ends, found that all {len(runs)} failed: {'; '.join(named)}"
        )

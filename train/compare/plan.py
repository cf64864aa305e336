"""The plan of a comparison or sweep: its runs, each with its whole config, kept as ``plan.json`` so that it can be resumed.

The file holds the plan that was *asked for* and the one that is *carried out*: a budget in minutes becomes a number of steps
once, and then stays.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.io.atomic import replacing
from train.config.run_config import RunConfig, differing, from_json, to_json

PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run."""

    run: str
    """The name of its folder."""
    label: str
    """The variant it is a seed of."""
    config: RunConfig
    store: str
    """What it trains on."""
    digest: str
    """Of that store's data."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for."""

    kind: str
    """``compare``, or ``sweep`` and its axis."""
    runs: tuple[Planned, ...]
    minutes: float | None = None
    """Of training for each run; ``None``: the epochs decide."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "minutes": self.minutes, "runs": [_to_json(run) for run in self.runs]}


def keep_plan(folder: Path, asked: Plan, carried_out: Sequence[Planned]) -> None:
    """Write ``plan.json``."""
    with replacing(folder / PLAN) as temporary:
        plan = {"asked": asked.to_json(), "runs": [_to_json(run) for run in carried_out]}
        temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def kept_runs(folder: Path, asked: Plan) -> tuple[Planned, ...] | None:
    """The runs of the plan that ``folder`` holds; ``None`` if it holds none, or another of which no run was begun.

    Raises:
        ConfigError: something else is asked for than before.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    plan = json.loads(path.read_text(encoding="utf-8"))
    if differing := _differing(plan["asked"], json.loads(json.dumps(asked.to_json()))):
        if not any((folder / run["run"]).exists() for run in plan["runs"]):
            return None
        raise ConfigError(
            f"{folder.name}: continues what was asked for first, found a different {', '.join(differing)}; give the same, "
            "or another --name"
        )
    stores = {run.run: run.store for run in asked.runs}
    return tuple(
        Planned(**{**run, "config": from_json(RunConfig, run["config"]), "store": stores[run["run"]]})
        for run in plan["runs"]
    )


def _to_json(run: Planned) -> dict[str, Any]:
    return {"run": run.run, "label": run.label, "config": to_json(run.config), "digest": run.digest}


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two plans, as a person would say it."""
    found = [name for name in ("kind", "minutes") if before[name] != now[name]]
    theirs, ours = ({run["run"]: run for run in plan["runs"]} for plan in (before, now))
    if theirs.keys() != ours.keys():
        return [*found, f"runs ({', '.join(theirs)} then, {', '.join(ours)} now)"]
    for run in ours:
        settings = differing(theirs[run]["config"], ours[run]["config"])
        is_other = theirs[run]["digest"] != ours[run]["digest"]
        found += [f"{name} of {run}" for name in (["replays"] if is_other else []) + settings]
    return found

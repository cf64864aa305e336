"""The runs of a plan, trained one after another into one folder, so that a stop costs nothing and a failure no other run.

In: a plan's runs. Out: the summaries of those that ended and the errors of those that failed, also in ``outcomes.json``. What is
finished is kept, what was interrupted is resumed exactly. The surprise: what failed is tried again too, from its last checkpoint.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.errors import ExphilError
from dataset.io.atomic import replacing
from train.callbacks.base import Callback
from train.compare.plan import Planned
from train.fit.train_run import train_run

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
        say: told which run begins and which failed.
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
            told_by = "" if isinstance(error, ExphilError) else f"{type(error).__name__}: "
            outcomes.failed[planned.run] = f"{told_by}{error}"
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

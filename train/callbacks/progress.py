"""Progress of a training on stderr: the facts first, then a bar on a terminal or a line every few seconds elsewhere."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dataset.reporting.progress import ProgressLines
from train.callbacks.base import Callback, Step
from train.measure.metrics import summary_line

LEAST_ENTROPY = 0.25
"""The entropy of a policy's sampled controllers, as a share of the players', below which it is collapsing."""


class ProgressReport(Callback):
    """Writes progress, notes and warnings to stderr."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._lines = ProgressLines(self._say)

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Report versions, data, parameters, inputs and the run folder."""
        versions = ", ".join(f"{name} {found}" for name, found in record["versions"].items())
        self._say(f"versions    {versions}")
        for split in ("train", "val"):
            about = record["data"][split]
            self._say(
                f"{split:<11} {about['replays']:,} replays, {about['frames']:,} imitated frames, {about['hours']:.2f} h"
            )
        policy = record["config"]["policy"]
        sizes = ",".join(map(str, policy["hidden_sizes"]))
        self._say(f"parameters  {record['parameters']:,} ({policy['backbone']} {sizes}, {policy['head']} head)")
        inputs = ", ".join(f"{width} {name}" for name, width in record["inputs"].items())
        self._say(f"inputs      {sum(record['inputs'].values())} numbers per frame: {inputs}")
        self._say(f"run folder  {run}")
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, transient=True, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("")

    def on_note(self, note: str) -> None:
        """Print the note."""
        self._say(note)

    def on_step(self, step: Step) -> None:
        """Move the bar, or write a line every few seconds."""
        text = f"epoch {step.epoch + 1}  loss {step.loss:.3f}  {step.frames_per_second:,.0f} frames/s"
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=step.step, total=step.steps_in_epoch)
        else:
            self._lines(f"{text}  step {step.step}/{step.steps_in_epoch}")

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Write one line for the epoch, and one for every sign that the policy is collapsing."""
        best = "  (best)" if record["is_best"] else ""
        self._say(
            f"epoch {record['epoch'] + 1}  train {record['train_loss']:.4f}  val {summary_line(record['val'])}{best}"
        )
        for sign in collapse_signs(record["val"]):
            self._say(sign)

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Remove the bar."""
        self.on_abort()

    def on_abort(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            typer.echo(text, err=True)


def collapse_signs(val: Mapping[str, Any]) -> list[str]:
    """The signs that a policy of these val numbers is collapsing, as sentences; training continues.

    A low loss is no proof of health, because a policy that never moves is right in most frames.
    """
    signs: list[str] = []
    ours, theirs = (val["diversity"][f"entropy_{whose}"] for whose in ("sampled", "true"))
    if ours < LEAST_ENTROPY * theirs:
        signs.append(
            f"collapse: the policy plays {val['diversity']['distinct_sampled']} different controllers where the players "
            f"play {val['diversity']['distinct_true']} (entropy {ours:.2f} of {theirs:.2f} nats); lower --lr, or train "
            "for longer"
        )
    if val["nll"] > val["persistence_nll"]:
        signs.append(
            f"collapse: val NLL {val['nll']:.3f} is above the {val['persistence_nll']:.3f} of copying the previous "
            "controller, where training began; lower --lr, or keep --max-grad-norm above 0"
        )
    return signs

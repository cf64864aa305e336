"""What a person watching a training sees: first the facts, then a bar on a terminal or a plain line now and then elsewhere."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dataset.reporting.progress import ProgressLines
from train.callbacks.base import Callback, Step
from train.callbacks.collapse import collapse_signs
from train.measure.metrics import summary_line


class ProgressReport(Callback):
    """Writes to stderr only."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._lines = ProgressLines(self._say)

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Versions, data, parameters, inputs, run folder."""
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
        self._say(f"inputs      {sum(record['inputs'].values())} numbers a frame: {inputs}")
        self._say(f"run folder  {run}")
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, transient=True, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("")

    def on_note(self, note: str) -> None:
        """Passed on as it is."""
        self._say(note)

    def on_step(self, step: Step) -> None:
        """Moves the bar, or writes a line every few seconds."""
        text = f"epoch {step.epoch + 1}  loss {step.loss:.3f}  {step.frames_per_second:,.0f} frames/s"
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=step.step, total=step.steps_in_epoch)
        else:
            self._lines(f"{text}  step {step.step}/{step.steps_in_epoch}")

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """One line an epoch, and one for every sign that the policy is collapsing."""
        best = "  (best)" if record["is_best"] else ""
        self._say(
            f"epoch {record['epoch'] + 1}  train {record['train_loss']:.4f}  val {summary_line(record['val'])}{best}"
        )
        for sign in collapse_signs(record["val"]):
            self._say(sign)

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Takes the bar away."""
        self.on_abort()

    def on_abort(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            typer.echo(text, err=True)

"""``report.html`` in the run folder: the curves of a run as one HTML file that loads nothing else.

The page is written again after every epoch, so you can look at it while training continues.
"""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.io.atomic import replacing
from dataset.reporting.charts import Series, legend, lines
from dataset.reporting.page import page, section, table
from train.callbacks.base import Callback
from train.runs.run_folder import METRICS, PAGE

GREY = 8

NLL_CAPTION = (
    "Val NLL is that of the whole controller on the val replays; lower is better. Persistence, the grey line, repeats "
    "the previous controller. The training loss has the recipe's own weights and smoothing, so compare it only with "
    "itself."
)
ACCURACY_CAPTION = (
    "Accuracy on the val replays. On change frames the controller differs from the previous one. Persistence, the grey "
    "line, is over all frames."
)


class RunPage(Callback):
    """Keeps the page up to date."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Remember what the page is about."""
        self._run, self._config = run, record["config"]

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Write the page over all epochs so far."""
        lines = (self._run / METRICS).read_text(encoding="utf-8").splitlines()
        with replacing(self._run / PAGE) as temporary:
            temporary.write_text(run_page(self._run.name, self._config, [json.loads(line) for line in lines]), "utf-8")


def run_page(name: str, config: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The page of a run: curves, a table of epochs, its settings."""
    vals = [record["val"] for record in records]
    nll = {
        "val NLL": [val["nll"] for val in vals],
        "training loss": [record["train_loss"] for record in records],
        "persistence": [val["persistence_nll"] for val in vals],
    }
    right = {
        "accuracy": [val["accuracy"] for val in vals],
        "on change frames": [val["change_accuracy"] for val in vals],
        "persistence": [val["persistence"]["accuracy"] for val in vals],
    }
    heads = ("epoch", "training loss", "val NLL", "accuracy", "on change frames", "frames/s")
    sections = [
        section("Nats per frame", _curves(nll, "nats per frame"), NLL_CAPTION),
        section("Accuracy", _curves(right, "accuracy"), ACCURACY_CAPTION),
        section("Epochs", table(heads, map(_row, records))),
        section("Settings", f"<pre>{html.escape(json.dumps(config, indent=1))}</pre>"),
    ]
    return page(name, sections)


def _curves(curves: Mapping[str, Sequence[float]], y_label: str) -> str:
    """Values by epoch; persistence is grey."""
    colours = [GREY if name == "persistence" else place for place, name in enumerate(curves)]
    series = [
        Series(name=name, colour=colour, points=[(epoch + 1, value) for epoch, value in enumerate(values)])
        for colour, (name, values) in zip(colours, curves.items(), strict=True)
    ]
    return legend([*zip(curves, colours, strict=True)]) + lines(series, "epoch", y_label)


def _row(record: Mapping[str, Any]) -> list[str]:
    val = record["val"]
    values = (record["train_loss"], val["nll"], val["accuracy"], val["change_accuracy"])
    return [f"{record['epoch'] + 1}", *(f"{value:.4f}" for value in values), f"{record['frames_per_second']:.0f}"]

"""``report.html`` in the run folder: the curves of a run for those who log nowhere, one file that loads nothing else.

In: ``config.json`` and the lines of ``metrics.jsonl``. Out: the page, written again after every epoch, so that it can be looked
at while training goes on.
"""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.io.atomic import replacing
from train.callbacks.base import Callback
from train.run_folder import METRICS, PAGE

WIDTH, HEIGHT, MARGIN = 640, 240, 48

Curve = tuple[str, str, list[float]]
"""Its name, its colour, and a value an epoch."""

STYLE = (
    ":root{color-scheme:light dark}body{font:15px system-ui,sans-serif;max-width:720px;margin:2em auto;padding:0 1em}"
    "table{display:block;overflow:auto}td,th{padding:2px 14px 2px 0;text-align:right}svg{max-width:100%;fill:currentColor}"
    "svg text{font-size:12px}polyline{fill:none;stroke-width:3;stroke-linecap:round}pre{overflow:auto;background:#8882}"
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
            temporary.write_text(page(self._run.name, self._config, [json.loads(line) for line in lines]), "utf-8")


def page(name: str, config: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The page of a run: curves, a row an epoch, its settings."""
    vals = [record["val"] for record in records]
    nll: list[Curve] = [
        ("val NLL", "#0e8fd6", [val["nll"] for val in vals]),
        ("training loss", "#94a3b8", [record["train_loss"] for record in records]),
        ("persistence", "#e2621b", [val["persistence_nll"] for val in vals]),
    ]
    right: list[Curve] = [
        ("accuracy", "#0e8fd6", [val["accuracy"] for val in vals]),
        ("on change frames", "#1f9d55", [val["change_accuracy"] for val in vals]),
        ("persistence", "#e2621b", [val["persistence"]["accuracy"] for val in vals]),
    ]
    title = html.escape(name)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"<h2>Nats a frame</h2>{chart(nll)}<h2>Accuracy</h2>{chart(right)}<h2>Epochs</h2>{_rows(records)}"
        f"<h2>Settings</h2><pre>{html.escape(json.dumps(config, indent=1))}</pre></html>\n"
    )


def chart(curves: Sequence[Curve]) -> str:
    """Curves over epochs as an SVG, on one scale from the least value to the most."""
    values = [value for _, _, curve in curves for value in curve]
    least, most = min(values), max(values)
    last = max(len(curve) for _, _, curve in curves) - 1

    def place(epoch: int, value: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * epoch / max(last, 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - least) / ((most - least) or 1.0)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<text x="4" y="{MARGIN}">{most:.3f}</text><text x="4" y="{HEIGHT - MARGIN}">{least:.3f}</text>']
    for number, (name, colour, curve) in enumerate(curves):
        points = " ".join(place(epoch, value) for epoch, value in enumerate(curve))
        points += f" {points}" if len(curve) == 1 else ""  # a point is drawn as a line from itself to itself
        parts.append(f'<polyline stroke="{colour}" points="{points}"/>')
        parts.append(f'<text x="{MARGIN + 190 * number}" y="18" fill="{colour}">{html.escape(name)}</text>')
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 20}">epoch {last + 1}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _rows(records: Sequence[Mapping[str, Any]]) -> str:
    heads = ("epoch", "training loss", "val NLL", "accuracy", "on change frames", "frames/s")
    rows = [
        (
            f"{record['epoch'] + 1}",
            f"{record['train_loss']:.4f}",
            f"{record['val']['nll']:.4f}",
            f"{record['val']['accuracy']:.4f}",
            f"{record['val']['change_accuracy']:.4f}",
            f"{record['frames_per_second']:.0f}",
        )
        for record in records
    ]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"

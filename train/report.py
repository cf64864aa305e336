"""Reports and summaries as text for people; every number stands beside persistence."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Report = Mapping[str, Any]

_ROWS = (
    ("NLL, nats a frame", "nll"),
    ("accuracy", "accuracy"),
    ("whole controller right", "exact"),
    ("change frames: NLL", "change_nll"),
    ("change frames: accuracy", "change_accuracy"),
    ("change frames: whole controller right", "change_exact"),
)


_INCOMPARABLE = (
    "These runs differ in their codecs: NLL, change frames and whole controllers are over each codec's own classes and do not "
    "compare; press rates, precision and recall of buttons do; see --detailed"
)


def show_reports(reports: Sequence[Report], *, is_detailed: bool, to_stderr: bool) -> None:
    """Print the metrics of one run or several side by side."""
    console = Console(file=sys.stderr if to_stderr else sys.stdout, highlight=False)
    first = reports[0]
    console.print(f"{first['replays']} replays, {first['frames']} frames, {first['change_frames']} change frames")
    console.print(_table("", _columns(reports), _overall_rows(reports)))
    if len(codecs := {str(report["codec"]) for report in reports}) > 1:
        console.print(f"{_INCOMPARABLE} ({', '.join(sorted(codecs))})")
    if is_detailed:
        for report in reports:
            console.print(_components(report))
            console.print(_buttons(report))


def _baselines(reports: Sequence[Report]) -> Sequence[Report]:
    """One report if all share their persistence, else all: it differs where delay or character do."""
    return reports if any(r["persistence"] != reports[0]["persistence"] for r in reports) else reports[:1]


def _columns(reports: Sequence[Report]) -> list[str]:
    baselines = _baselines(reports)
    named = [f"persistence of {report['run']}" for report in baselines] if len(baselines) > 1 else ["persistence"]
    return named + [report["run"] for report in reports]


def _overall_rows(reports: Sequence[Report]) -> list[list[str]]:
    baselines = _baselines(reports)
    blank = [""] * len(baselines)
    rows = [
        [label, *(_number(r["persistence"][key]) for r in baselines), *(_number(r[key]) for r in reports)]
        for label, key in _ROWS
    ]
    rows.append(["calibration error (ECE)", *blank, *(_number(report["ece"]) for report in reports)])
    for label, key in (("different controllers", "distinct"), ("entropy of controllers, nats", "entropy")):
        true = _number(reports[0]["diversity"][f"{key}_true"])
        sampled = [_number(report["diversity"][f"{key}_sampled"]) for report in reports]
        rows.append([f"{label} (players: {true})", *blank, *sampled])
    return rows


def _components(report: Report) -> Table:
    persistence = report["persistence"]
    rows = [
        [
            name,
            *(_number(report[key][name]) for key in ("nll_by_component", "accuracy_by_component", "top3_by_component")),
            _number(report["change_accuracy_by_component"][name]),
            *(_number(persistence[key][name]) for key in ("nll_by_component", "accuracy_by_component")),
        ]
        for name in report["nll_by_component"]
    ]
    columns = ["NLL", "accuracy", "top 3", "accuracy on change frames", "persistence NLL", "persistence accuracy"]
    return _table(str(report["run"]), columns, rows)


def _buttons(report: Report) -> Table:
    columns = ["precision", "recall", "f1", "press_true", "press_predicted"]
    rows = [[name, *(_number(values[key]) for key in columns)] for name, values in report["buttons"].items()]
    titles = ["precision", "recall", "F1", "pressed by players", "pressed by policy"]
    return _table(str(report["run"]), titles, rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title or None)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def summary_text(summary: Report) -> str:
    """What a training came to, in a line or two."""
    if summary["best_epoch"] is None:
        return f"{summary['run']}: stopped before the first epoch was done"
    return (
        f"{summary['run']}: best epoch {summary['best_epoch']}, val NLL {_number(summary['val_nll'])} (persistence "
        f"{_number(summary['persistence_nll'])}), change-frame accuracy {_number(summary['val_change_accuracy'])} "
        f"(persistence {_number(summary['persistence_change_accuracy'])}), {summary['frames_per_second']:,.0f} frames/s"
    )


def next_step(summary: Report, store: str) -> str:
    """What to type next."""
    if summary["is_interrupted"]:
        return "the same command with --resume goes on where this stopped"
    return f"exphil eval --policy {summary['run']} --store {store} --split test"

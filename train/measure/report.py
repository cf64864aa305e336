"""Show reports and training summaries as text; every number is beside the baselines and has its interval.

Tables fit 100 columns. Runs of different codecs or characters are shown side by side without differences, because their
likelihoods are of different classes, or of other players' frames.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from dataset.reporting.tables import number, table
from dataset.reporting.terminal import command_line
from train.measure.detailed.tables import detailed_tables
from train.measure.intervals import OTHER_DELAYS, OTHER_PLAYERS

Report = Mapping[str, Any]

WIDTH = 100
"""Columns, unless the output is a terminal."""

_ROWS = (
    ("NLL, nats per frame", "nll"),
    ("accuracy", "accuracy"),
    ("whole controller right", "exact"),
    ("change frames: NLL", "change_nll"),
    ("change frames: accuracy", "change_accuracy"),
    ("change frames: whole controller right", "change_exact"),
    ("main stick right where it moves", "stick_accuracy"),
)
_SHORT = ("NLL", "accuracy", "whole", "change NLL", "change acc.", "ch. whole", "stick moves")

_METRICS = {
    "nll": "NLL",
    "accuracy": "accuracy",
    "change_nll": "change NLL",
    "change_accuracy": "change acc.",
    "stick_accuracy": "stick moves",
}

_INCOMPARABLE = (
    "These runs differ in their codecs: NLL, change frames and whole controllers are over each codec's own classes and do not "
    "compare; press rates, precision and recall of buttons do; see --detailed"
)

_NO_LOOKUP = "keeps no lookup, so there is none beside it: train it again, or measure it on the store it was trained on"


def show_reports(
    reports: Sequence[Report], differences: Sequence[Report], *, is_detailed: bool, to_stderr: bool
) -> None:
    """Print the metrics of one run or several, and how the later ones differ from the first."""
    file = sys.stderr if to_stderr else sys.stdout
    console = Console(file=file, highlight=False, width=None if file.isatty() else WIDTH)
    first = reports[0]
    counts = (f"{first[name]:,}" for name in ("replays", "frames", "change_frames"))
    console.print("{} replays, {} frames, {} change frames".format(*counts))
    console.print(_one(first) if len(reports) == 1 else table("", _SHORT, list(_several(reports))))
    for report in reports:
        if report["lookup"] is None:
            console.print(f"{report['run']} {_NO_LOOKUP}")
    if len(codecs := {str(report["codec"]) for report in reports}) > 1:
        console.print(f"{_INCOMPARABLE} ({', '.join(sorted(codecs))})")
    for key, note in (("delay", OTHER_DELAYS), ("character", OTHER_PLAYERS)):
        if any(report[key] != first[key] for report in reports):
            console.print(note)
    if differences:
        console.print(_differences(differences))
    for report in reports if is_detailed else ():
        for part in detailed_tables(report):
            console.print(part)
    costs = [
        f"{report['run']} {report['seconds_per_million_frames']:,.0f} ({report['cpu_seconds_per_million_frames']:,.0f} of CPU)"
        for report in reports
    ]
    console.print(f"seconds per million frames: {', '.join(costs)}")


def _one(report: Report) -> Any:
    """The table of one run: beside both baselines, with its intervals."""
    baselines = [report["persistence"], report["lookup"]]
    rows = [
        [label, *(_of(baseline, key) for baseline in baselines), number(report[key]), _interval(report, key)]
        for label, key in _ROWS
    ]
    rows.append(["calibration error (ECE)", "", "", number(report["ece"]), ""])
    for label, key in (("different controllers", "distinct"), ("entropy of controllers, nats", "entropy")):
        true, sampled = (number(report["diversity"][f"{key}_{whose}"]) for whose in ("true", "sampled"))
        rows.append([f"{label} (players: {true})", "", "", sampled, ""])
    return table("", ["persistence", "lookup", str(report["run"]), "95 % interval"], rows)


def _several(reports: Sequence[Report]) -> Iterator[list[str]]:
    """A row per run, under its baselines, which are repeated where delay, codec or character makes them differ."""
    shown = []
    for report in reports:
        if report["persistence"] not in shown:
            shown.append(report["persistence"])
            whose = f" ({report['run']})" if len(shown) > 1 else ""
            for name in ("persistence", "lookup"):
                yield [f"{name}{whose}", *(_of(report[name], metric) for _, metric in _ROWS)]
        yield [str(report["run"]), *(number(report[metric]) for _, metric in _ROWS)]


def _differences(differences: Sequence[Report]) -> Any:
    """How each run differs from the first; a star marks intervals without 0."""
    rows = []
    for one in differences:
        for key, label in _METRICS.items():
            if (found := one[key]) is not None:
                interval = f"{found['low']:+.4f} … {found['high']:+.4f}"
                star = "*" if found["is_real"] else ""
                rows.append([f"{one['run']} less {one['than']}", label, f"{found['value']:+.4f}", interval, star])
    title = "differences, paired by replay; * the interval does not contain 0"
    return table(title, ["", "difference", "95 % interval", "real"], rows)


def _of(baseline: Report | None, key: str) -> str:
    return "none" if baseline is None else number(baseline[key])


def _interval(report: Report, key: str) -> str:
    found = report["intervals"].get(key)
    return "" if found is None else f"{found[0]:.4f} … {found[1]:.4f}"


def summary_text(summary: Report) -> str:
    """The outcome of a training as one sentence."""
    if summary["best_epoch"] is None:
        return f"{summary['run']}: stopped before the end of the first epoch"
    return (
        f"{summary['run']}: best epoch {summary['best_epoch']}, val NLL {number(summary['val_nll'])} (persistence "
        f"{number(summary['persistence_nll'])}), change-frame accuracy {number(summary['val_change_accuracy'])} "
        f"(persistence {number(summary['persistence_change_accuracy'])}), {summary['frames_per_second']:,.0f} frames/s"
    )


def next_step(summary: Report, store: str, split: str) -> str:
    """The command to type next."""
    if summary["is_interrupted"]:
        return "the same command with --resume continues where this stopped"
    return command_line("eval", "--policy", summary["run"], "--store", store, "--split", split)

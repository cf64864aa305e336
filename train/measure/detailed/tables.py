"""The tables of ``exphil eval --detailed`` for one run, none wider than 100 columns.

Reliability bins, and the main stick's confusion and positions, are meant for pictures; they are in ``--json`` only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from dataset.reporting.tables import number, share, table

Report = Mapping[str, Any]

_GROUP = ("share", "frames", "NLL", "lookup", "change NLL", "change acc.", "stick moves")


def detailed_tables(report: Report) -> Iterator[Table]:
    """All tables of a run."""
    detailed, name = report["detailed"], report["run"]
    yield _components(report)
    yield _buttons(report)
    yield _presses(f"{name}: presses and releases within 0, 1 and 3 frames, F1", detailed["presses"])
    yield _groups(f"{name}: by situation", detailed["situations"])
    yield _groups(f"{name}: by opponent", detailed["opponents"])
    yield _stick(f"{name}: main stick, players and samples", detailed)
    yield _copycat(report)
    if detailed["self_fed"] is not None:
        own = detailed["self_fed"]
        yield _presses(f"{name}: presses and releases, given its own controllers, F1", own["presses"])
        yield _drift(f"{name}: given its own controllers, by how many it has held", own["drift"])
    yield _criteria(f"{name}: criteria", report["criteria"])


def _components(report: Report) -> Table:
    persistence, lookup = report["persistence"], report["lookup"]
    calibration = report["detailed"]["calibration"]["components"]
    rows = [
        [
            name,
            number(report["nll_by_component"][name]),
            _beside(lookup, "nll_by_component", name),
            number(persistence["nll_by_component"][name]),
            number(report["accuracy_by_component"][name]),
            _beside(lookup, "accuracy_by_component", name),
            number(persistence["accuracy_by_component"][name]),
            number(report["top3_by_component"][name]),
            number(report["change_accuracy_by_component"][name]),
            number(calibration[name]["ece"]),
        ]
        for name in report["nll_by_component"]
    ]
    columns = ["NLL", "lookup", "persist.", "acc.", "lookup", "persist.", "top 3", "change", "ECE"]
    return table(f"{report['run']}: by component; likelihood, then accuracy", columns, rows)


def _buttons(report: Report) -> Table:
    detailed = report["detailed"]
    own = detailed["self_fed"]
    rows = [
        [
            name,
            *(number(values[key]) for key in ("precision", "recall", "f1")),
            share(values["press_true"]),
            share(values["press_predicted"]),
            share(detailed["presses"]["buttons"][name]["held_sampled"]),
            "none" if own is None else share(own["presses"]["buttons"][name]["held_sampled"]),
            number(detailed["calibration"]["buttons"][name]["ece"]),
        ]
        for name, values in report["buttons"].items()
    ]
    columns = ["precision", "recall", "F1", "held", "expected", "sampled", "on its own", "ECE"]
    return table(f"{report['run']}: buttons; share of frames held by players and by the policy", columns, rows)


def _presses(title: str, presses: Report) -> Table:
    tolerances = list(presses["all"]["press"]["within"])
    rows = []
    for name, scores in {"all": presses["all"], **presses["buttons"]}.items():
        f1 = [f"{scores[kind]['within'][k]['f1']:.2f}" for kind in ("press", "release") for k in tolerances]
        rows.append([name, *(number(scores["press"][whose]) for whose in ("true", "sampled")), *f1])
    heads = [f"{kind} {k}" for kind in ("press", "release") for k in tolerances]
    return table(title, ["presses", "sampled", *heads], rows)


def _groups(title: str, groups: Mapping[str, Report]) -> Table:
    rows = [
        [
            name,
            share(group["share"]),
            number(group["frames"]),
            *(number(group[key]) for key in ("nll", "lookup_nll", "change_nll", "change_accuracy", "stick_accuracy")),
        ]
        for name, group in sorted(groups.items(), key=lambda item: -item[1]["frames"])
    ]
    return table(title, _GROUP, rows)


def _stick(title: str, detailed: Report) -> Table:
    stick = detailed["main_stick"]
    confusion = stick["confusion"]
    total = max(sum(map(sum, confusion)), 1)
    rows = [
        [
            region,
            share(sum(confusion[i]) / total),
            share(sum(row[i] for row in confusion) / total),
            share(confusion[i][i] / max(sum(confusion[i]), 1)),
        ]
        for i, region in enumerate(stick["regions"])
    ]
    for name, label in (("all", "angle, both off rest"), ("change", "angle, where it moves")):
        found = stick["angles"][name]
        rows.append(
            [label, number(found["frames"]), f"{found['mean_degrees']:.1f}° off", share(found["within_octant"])]
        )
    return table(title, ["players", "samples", "same region"], rows)


def _copycat(report: Report) -> Table:
    rows = [["the real one", number(report["nll"]), "", number(report["change_nll"]), number(report["stick_accuracy"])]]
    rows += [
        [
            label,
            number(found["nll"]),
            f"{found['gap']:+.4f}",
            number(found["change_nll"]),
            number(found["stick_accuracy"]),
        ]
        for label, found in (
            ("at rest", report["detailed"]["copycat"]["neutral"]),
            ("a stranger's", report["detailed"]["copycat"]["shuffled"]),
        )
    ]
    return table(f"{report['run']}: previous controller", ["NLL", "gap", "change NLL", "stick moves"], rows)


def _drift(title: str, drift: list[Report]) -> Table:
    rows = [
        [
            f"{row['from']}" if row["from"] == row["to"] else f"{row['from']} to {row['to']}",
            number(row["frames"]),
            number(row["nll"]),
            number(row["given_nll"]),
            share(row["same"]),
        ]
        for row in drift
    ]
    return table(title, ["frames", "NLL", "given the player's", "held the same"], rows)


def _criteria(title: str, criteria: list[Report]) -> Table:
    rows = [
        [row["criterion"], row["given"], row["wanted"], f"{row['found']:.2f}", "met" if row["is_met"] else "missed"]
        for row in criteria
    ]
    return table(title, ["given controllers", "wanted", "found", ""], rows)


def _beside(lookup: Report | None, key: str, name: str) -> str:
    return "none" if lookup is None else number(lookup[key][name])

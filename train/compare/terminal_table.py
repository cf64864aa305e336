"""The results matrix for a terminal, at most 110 columns wide: variants, baselines, then which differences are real."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

Results = Mapping[str, Any]

WIDTH = 110

COLUMNS = (
    "val NLL",
    "{split} NLL",
    "95 %",
    "acc %",
    "chg acc %",
    "chg NLL",
    "CPU min",
    "frames/s",
    "ms p50/p99",
    "params",
)

PLAYED = "net stocks/min"
"""What follows NLL and its interval where runs played."""

LESS_WHERE_PLAYED = ("acc %", "frames/s", "params")
"""What makes room for it; the page has these too."""

DASH = "-"
"""What was not measured."""


def show_results(results: Results, *, to_stderr: bool) -> None:
    """Print the matrix, the differences between neighbours of its ranking, notes and failures."""
    console = Console(file=sys.stderr if to_stderr else sys.stdout, highlight=False, width=WIDTH, soft_wrap=False)
    console.print(matrix(results))
    for line in [*ranking(results), *law_lines(results), *results["notes"]]:
        console.print(line, markup=False)
    for failed in results["failed"]:
        console.print(f"failed: {failed['run']}: {failed['error']}", markup=False)
    for row in results["rows"]:
        if row["arena_error"]:
            console.print(f"not played: {row['arena_error']}", markup=False)


def matrix(results: Results) -> Table:
    """The table."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True, max_width=22)
    split = results["split"]
    titles = list(COLUMNS)
    if results["arena"]:
        titles.insert(titles.index("95 %") + 1, PLAYED)
        titles = [title for title in titles if title not in LESS_WHERE_PLAYED]
    for title in titles:
        table.add_column(title.format(split=split), justify="right", no_wrap=True)
    for kind, style in (("rows", None), ("baselines", "dim")):
        for row in results[kind]:
            found = cells(row, split)
            table.add_row(row["label"], *(found[title] for title in titles), style=style)
    return table


def cells(row: Mapping[str, Any], split: str) -> dict[str, str]:
    """A row's numbers by the titles of ``COLUMNS`` and ``PLAYED``; a spread over seeds follows its mean."""
    interval = (row["intervals"][split] or {}).get("nll")
    step = [number(row.get(f"step_ms_{which}"), ".2f") for which in ("p50", "p99")]
    cpu = row.get("cpu_seconds")
    return {
        "val NLL": with_spread(row["val_nll"], row["val_nll_spread"], ".3f"),
        "{split} NLL": with_spread(row[f"{split}_nll"], row[f"{split}_nll_spread"], ".3f"),
        "95 %": DASH if interval is None else f"{interval[0]:.2f}-{interval[1]:.2f}",
        PLAYED: _net_stocks(row),
        "acc %": percent(row[f"{split}_accuracy"]),
        "chg acc %": percent(row[f"{split}_change_accuracy"]),
        "chg NLL": number(row[f"{split}_change_nll"], ".3f"),
        "CPU min": number(None if cpu is None else cpu / 60, ".1f"),
        "frames/s": number(row.get("frames_per_second"), ",.0f"),
        "ms p50/p99": DASH if step[0] == DASH else "/".join(step),
        "params": DASH if row.get("parameters") is None else short(row["parameters"]),
    }


def _net_stocks(row: Mapping[str, Any]) -> str:
    """Net stocks per minute with their interval; why there are none stands below the table."""
    if row.get("arena_error"):
        return "failed"
    interval = row.get("net_stocks_interval")
    ends = "" if interval is None else f" [{interval[0]:+.1f}, {interval[1]:+.1f}]"
    return number(row.get("net_stocks_per_minute"), "+.2f") + ends


def ranking(results: Results) -> list[str]:
    """How much each variant differs from the next better one, best first."""
    metric = "nll" if any(one["metric"] == "nll" for one in results["differences"]) else "accuracy"
    sign = 1 if metric == "nll" else -1
    key = f"{results['split']}_{metric}"
    known = [row for row in results["rows"] if row[key] is not None]
    ordered = [row["label"] for row in sorted(known, key=lambda row: sign * row[key])]
    lines = []
    for better, worse in zip(ordered, ordered[1:], strict=False):  # noqa: RUF007
        found = difference(results, worse, better, metric)
        if found is not None:
            value, low, high = found
            verdict = "real" if low > 0 or high < 0 else "could be chance"
            shown = f"{worse} - {better} = {value:+.4f} [{low:+.4f}, {high:+.4f}]: {verdict}"
            lines.append(f"{results['split']} {metric.replace('nll', 'NLL')}: {shown}")
    return lines


def law_lines(results: Results) -> list[str]:
    """What more replays should bring, of a data sweep."""
    law = results.get("law")
    if not law:
        return []
    lines = [
        f"{point['replays']:,.0f} replays should bring val NLL {point['value']:.3f} [{point['low']:.3f}, {point['high']:.3f}]"
        for point in law["extrapolated"]
    ]
    return [*lines, f"The points do not identify the law: {law['doubt']}."] if law["doubt"] else lines


def difference(results: Results, first: str, second: str, metric: str) -> tuple[float, float, float] | None:
    """First minus second with its interval, whichever way round it was kept."""
    for one in results["differences"]:
        if one["metric"] == metric and {one["first"], one["second"]} == {first, second}:
            value, low, high = one["value"], one["low"], one["high"]
            return (value, low, high) if one["first"] == first else (-value, -high, -low)
    return None


def number(value: float | None, form: str) -> str:
    """A number, or a dash."""
    return DASH if value is None else f"{value:{form}}"


def percent(value: float | None) -> str:
    """A share as percent without its sign, or a dash."""
    return DASH if value is None else f"{100 * value:.2f}"


def with_spread(value: float | None, spread: float | None, form: str) -> str:
    """A mean, and its standard deviation over seeds where there are several."""
    return number(value, form) if spread is None else f"{number(value, form)}±{spread:{form.removeprefix('+')}}"


def short(count: float) -> str:
    """A count in thousands or millions."""
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"

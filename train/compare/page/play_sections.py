"""The sections of the results page about play: how fast a step is, and whether likelihood says how well a variant plays."""

from dataclasses import replace

from dataset.reporting.charts import Dot, scatter
from dataset.reporting.page import section
from train.compare.page.sections import Colours, nll_dot
from train.compare.results import Results


def speed(results: Results, colours: Colours) -> list[str]:
    """What quality costs in play."""
    split = results["split"]
    known = [row for row in results["rows"] if row["step_ms_p50"] is not None and row[f"{split}_nll"] is not None]
    if len(known) < 2:
        return []
    most = max(row["parameters"] for row in known)
    dots = [
        replace(nll_dot(row, split, colours), x=row["step_ms_p50"], radius=3 + 6 * (row["parameters"] / most) ** 0.5)
        for row in known
    ]
    caption = "Down and to the left is better. Larger dots have more parameters. A frame lasts 16.7 ms."
    return [section("Speed and quality", scatter(dots, "ms per step, median", f"{split} NLL", is_log_x=True), caption)]


def playing(results: Results, colours: Colours) -> list[str]:
    """Whether likelihood says how well a variant plays."""
    split = results["split"]
    known = [
        row for row in results["rows"] if row["net_stocks_per_minute"] is not None and row[f"{split}_nll"] is not None
    ]
    if len(known) < 2:
        return []
    dots = [
        Dot(
            name=row["label"],
            colour=colours.of_label[row["label"]],
            value=row["net_stocks_per_minute"],
            interval=row["net_stocks_interval"],
            x=row[f"{split}_nll"],
        )
        for row in known
    ]
    found = results["nll_rank_correlation"]
    caption = "Up is better play, left is better likelihood. Intervals: 95 %, over games." + (
        "" if found is None else f" Rank correlation over {found['runs']} runs: {found['value']:+.2f}."
    )
    return [section("Likelihood and play", scatter(dots, f"{split} NLL", "net stocks per minute"), caption)]

"""The sections of the results page: tables and plots of what was measured.

Each function returns a list of HTML sections, which is empty where there is nothing to show. A variant has one colour
everywhere, and baselines are grey.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dataset.reporting.charts import Dot, Series, intervals, legend, lines, rows_of_dots
from dataset.reporting.page import NUM_COLOURS, scrolling, section, table
from train.compare.results import Results
from train.compare.terminal_table import DASH, difference, number, percent, short, with_spread

TASK = ("policy.codec", "data.delay", "data.character")
"""Settings that decide what is predicted: runs that differ in one are not better or worse by their metrics."""


@dataclass(frozen=True)
class Colours:
    """The number of each label's colour."""

    of_label: Mapping[str, int]

    @classmethod
    def of(cls, results: Results) -> "Colours":
        """Variants in order, then baselines in grey."""
        variants = {row["label"]: place % NUM_COLOURS for place, row in enumerate(results["rows"])}
        greys = {row["label"]: NUM_COLOURS + place % 2 for place, row in enumerate(results["baselines"])}
        return cls({**greys, **variants})

    def legend(self, labels: Iterable[str]) -> str:
        """Labels with their colours."""
        return legend([(label, self.of_label[label]) for label in labels])


PLAYED = (("net stocks per minute", "net_stocks_per_minute", -1, "+.2f"), ("95 %", "net_stocks_interval", 0, ""))
"""Columns of what runs came to in the arena."""


def matrix(results: Results) -> list[str]:
    """Everything in one table, the best of each column in bold; of metrics only where all runs have one task."""
    split = results["split"]
    differing: Mapping[str, Any] = next(iter(results["settings"]["differing"].values()), {})
    lower, higher = (0, 0) if any(setting in differing for setting in TASK) else (1, -1)
    has_cpu = any(row["cpu_seconds"] is not None for row in results["rows"])
    columns: list[tuple[str, str, int, str]] = [
        ("val NLL", "val_nll", lower, ".3f"),
        *([("test NLL", "test_nll", lower, ".3f")] if split == "test" else []),
        (f"{split} NLL, 95 %", "interval", 0, ""),
        *(PLAYED if results["arena"] else ()),
        ("on change frames: NLL", f"{split}_change_nll", lower, ".3f"),
        ("accuracy %", f"{split}_accuracy", higher, "%"),
        ("on change frames %", f"{split}_change_accuracy", higher, "%"),
        ("whole controller right %", f"{split}_exact", higher, "%"),
        ("calibration error", f"{split}_ece", lower, ".4f"),
        *([("CPU min", "cpu_seconds", 0, "min")] if has_cpu else []),
        ("train min", "train_seconds", 0, "min"),
        ("frames/s", "frames_per_second", -1, ",.0f"),
        ("step ms, median", "step_ms_p50", 1, ".3f"),
        ("99 %", "step_ms_p99", 1, ".2f"),
        ("parameters", "parameters", 0, "short"),
        ("epochs", "epochs", 0, "g"),
    ]
    rows = results["rows"]
    heads = "".join(f"<th>{escape(title)}</th>" for title, *_ in columns)
    body = "".join(_matrix_row(row, columns, rows, split) for row in rows)
    grey = "".join(_matrix_row(row, columns, [], split, ' class="baseline"') for row in results["baselines"])
    caption = (
        "NLL: nats per frame over the whole controller, lower is better; on change frames the controller differs from "
        "the previous one. Intervals: bootstrap over replays. ±: standard deviation over seeds. A step is one frame "
        "through encoder, exported graph, sampling and decoder on one thread; the machine's other work shows in the "
        "99 % column."
    )
    return [section("Results", scrolling(f"<tr><th></th>{heads}</tr>{body}{grey}"), caption, is_wide=True)]


def quality(results: Results, colours: Colours) -> list[str]:
    """NLL of variants and baselines with intervals."""
    split = results["split"]
    rows = [row for row in [*results["rows"], *results["baselines"]] if row[f"{split}_nll"] is not None]
    dots = [nll_dot(row, split, colours) for row in rows]
    if not dots:
        return []
    known = [dot for dot in dots if dot.name in {row["label"] for row in results["rows"]}]
    return [
        section(
            "Likelihood",
            intervals(known, f"{split} NLL, nats per frame"),
            "Dots with 95 % intervals over replays; lower is better.",
        ),
        section(
            "Beside the baselines",
            intervals(dots, f"{split} NLL, nats per frame"),
            "The same with the baselines: persistence repeats the previous controller; lookup counts what players did "
            "next in the same action state.",
        ),
    ]


def differences(results: Results) -> list[str]:
    """Which differences between variants are real, as a grid."""
    found = {one["metric"] for one in results["differences"]}
    if not found:
        return []
    metric, better = ("nll", -1) if "nll" in found else ("accuracy", 1)
    labels = [row["label"] for row in results["rows"]]
    heads = "".join(f"<th>{escape(label)}</th>" for label in labels)
    body = "".join(
        f"<tr><td>{escape(first)}</td>{''.join(_cell(results, first, second, metric, better) for second in labels)}</tr>"
        for first in labels
    )
    caption = (
        f"{results['split']} {metric.replace('nll', 'NLL')} of the row minus that of the column, with its paired 95 % "
        f"interval over replays{' and seeds' if any(row['seeds'] > 1 for row in results['rows']) else ''}. Green: the "
        "row is better and the interval excludes 0; red: worse; no colour: it could be chance. Each cell is a test of "
        "its own: of twenty cells without any difference, about one is coloured."
    )
    return [
        section(
            "Which differences are real",
            scrolling(f"<tr><th></th>{heads}</tr>{body}"),
            caption,
            is_wide=True,
        )
    ]


def law(results: Results) -> list[str]:
    """What more replays should gain, where a power law was fitted to a data sweep."""
    found = results.get("law")
    if not found:
        return []
    curve = found["curve"]
    series = [
        Series(
            name="power law",
            colour=0,
            points=[(point["frames"], point["value"]) for point in curve],
            band=[(point["low"], point["high"]) for point in curve],
        ),
        Series(
            name="measured", colour=1, points=[(p["frames"], p["val_nll"]) for p in found["points"]], is_dotted=True
        ),
    ]
    rows = [
        (
            f"{point['replays']:,.0f} replays",
            f"{point['frames'] / 1e6:.2f}M",
            f"{point['value']:.3f}",
            f"{point['low']:.3f} to {point['high']:.3f}",
        )
        for point in found["extrapolated"]
    ]
    exponent = found["exponent"]
    caption = (
        f"NLL = {found['floor']:.3f} + b / frames^{exponent['value']:.2f} (exponent {exponent['low']:.2f} to "
        f"{exponent['high']:.2f}); the band is a bootstrap over val replays, seeds and distances from the law. "
        + (
            f"The points do not determine the law: {found['doubt']}."
            if found["doubt"]
            else "The points determine the law."
        )
    )
    body = legend([("power law", 0), ("measured", 1)]) + lines(series, "frames trained on", "val NLL", is_log_x=True)
    amounts = table(["", "frames", "val NLL by the law", "95 %"], rows)
    return [section("What more replays would gain", body + amounts, caption)]


def curves(results: Results, colours: Colours) -> list[str]:
    """Val NLL and training loss over time and frames."""
    runs = results["runs"]
    has_cpu = all(point["cpu_seconds"] is not None for run in runs for point in run["curve"])
    axes = (
        ("cpu_seconds", "CPU minutes") if has_cpu else ("seconds", "minutes of training"),
        ("frames", "frames trained on"),
    )
    labels = [row["label"] for row in results["rows"]]
    drawn = []
    for key, name in axes:
        series = [_curve(results, label, key, colours, "val_nll") for label in labels]
        series += [_curve(results, label, key, colours, "train_loss") for label in labels]
        drawn.append(
            section(
                f"Learning over {name}",
                colours.legend(labels) + lines(series, name, "nats per frame", is_log_x=True),
                "Val NLL after each epoch; dashed, the mean training loss of the epoch. Bands: lowest and highest "
                "seed.",
            )
        )
    return drawn


def components(results: Results, colours: Colours) -> list[str]:
    """NLL of each component as a share of persistence's."""
    split = results["split"]
    copied = next((row["reports"].get(split) for row in results["baselines"]), None)
    by_label = _by_label(results, "nll_by_component")
    if not copied or len({tuple(values) for values in by_label.values()}) != 1:
        return []  # other codecs have other components
    base = copied["nll_by_component"]
    names = [name for name in next(iter(by_label.values())) if base[name] >= 1e-3]
    rows = [
        (
            f"{name} {base[name]:.3f}",
            [
                Dot(name=label, colour=colours.of_label[label], value=100 * values[name] / base[name])
                for label, values in by_label.items()
            ],
        )
        for name in names
    ]
    caption = (
        "NLL of each component as a percentage of persistence's, which is given in nats beside the name. Components "
        "that hardly ever change are left out."
    )
    return [section("By component", colours.legend(by_label) + rows_of_dots(rows, "% of persistence's NLL"), caption)]


def buttons(results: Results, colours: Colours) -> list[str]:
    """How often buttons are held, beside how often players hold them."""
    split = results["split"]
    by_label = {label: values for label, values in _by_label(results, "buttons").items() if values}
    if not by_label:
        return []
    true = {name: about["press_true"] for name, about in next(iter(by_label.values())).items()}
    names = [name for name, rate in true.items() if rate >= 1e-4]
    rows = [
        (
            f"{name.replace('_', '-').upper()} {100 * true[name]:.2f}%",
            [
                Dot(
                    name=label,
                    colour=colours.of_label[label],
                    value=max(values[name]["press_predicted"], 1e-6) / true[name],
                )
                for label, values in by_label.items()
                if label in {row["label"] for row in results["rows"]}
            ],
        )
        for name in names
    ]
    caption = (
        "How often the policy expects each button to be held, as a multiple of how often players hold it on the "
        f"{split} replays (the percentage beside the name). At 1 it presses as often as they do."
    )
    shown = [row["label"] for row in results["rows"] if row["label"] in by_label]
    return [section("Press rates", colours.legend(shown) + rows_of_dots(rows, "times the players' rate"), caption)]


def settings(results: Results) -> list[str]:
    """What all runs share and what differs between them."""
    shared, differing = results["settings"]["shared"], results["settings"]["differing"]
    drawn = []
    names = list(next(iter(differing.values()), {}))
    if names:
        heads = ["run", *(name.split(".")[-1].replace("_", " ") for name in names)]
        rows = [[run, *(_setting(values[name]) for name in names)] for run, values in differing.items()]
        drawn.append(section("What differs between the runs", table(heads, rows), is_wide=True))
    return [*drawn, section("What they share", table([], [(name, _setting(value)) for name, value in shared.items()]))]


def failures(results: Results) -> list[str]:
    """Runs that did not finish, and why."""
    if not results["failed"]:
        return []
    return [section("Failed", table([], [(one["run"], one["error"]) for one in results["failed"]]), is_wide=True)]


def _matrix_row(
    row: Mapping[str, Any],
    columns: Sequence[tuple[str, str, int, str]],
    rows: Sequence[Mapping[str, Any]],
    split: str,
    kind: str = "",
) -> str:
    cells = []
    for _, key, sign, form in columns:
        if key == "net_stocks_interval" and row.get("arena_error"):
            continue  # the reason takes both columns
        if key in ("interval", "net_stocks_interval"):
            found = nll_interval(row, split) if key == "interval" else row.get(key)
            cells.append(f"<td>{DASH if found is None else f'{found[0]:.2f} to {found[1]:.2f}'}</td>")
            continue
        if key == "net_stocks_per_minute" and row.get("arena_error"):
            cells.append(f'<td colspan="2" class="reason">{escape(row["arena_error"])}</td>')
            continue
        known = [other[key] for other in rows if other.get(key) is not None]
        is_best = sign != 0 and len(known) > 1 and row.get(key) == min(known, key=lambda value: sign * value)
        best = ' class="best"' if is_best else ""
        cells.append(f"<td{best}>{_cell_text(row, key, form)}</td>")
    return f"<tr{kind}><td>{escape(row['label'])}</td>{''.join(cells)}</tr>"


def _cell_text(row: Mapping[str, Any], key: str, form: str) -> str:
    value, spread = row.get(key), row.get(f"{key}_spread")
    if value is None:
        return DASH
    if form == "%":
        return percent(value) + ("" if spread is None else f" <small>±{100 * spread:.2f}</small>")
    if form == "min":
        return number(value / 60, ".1f")
    if form == "short":
        return short(value)
    return with_spread(value, spread, form)


def _cell(results: Results, first: str, second: str, metric: str, better: int) -> str:
    found = None if first == second else difference(results, first, second, metric)
    if found is None:
        return "<td></td>"
    value, low, high = found
    is_real = low > 0 or high < 0
    kind = "" if not is_real else ' class="good"' if value * better > 0 else ' class="bad"'
    return f"<td{kind}>{value:+.4f}<div><small>{low:+.4f} to {high:+.4f}</small></div></td>"


def nll_dot(row: Mapping[str, Any], split: str, colours: Colours) -> Dot:
    """A row's NLL with its interval."""
    return Dot(
        name=row["label"],
        colour=colours.of_label[row["label"]],
        value=row[f"{split}_nll"],
        interval=nll_interval(row, split),
    )


def nll_interval(row: Mapping[str, Any], split: str) -> tuple[float, float] | None:
    """The 95 % interval of a row's NLL, where it was measured."""
    found = (row["intervals"][split] or {}).get("nll")
    return None if found is None else (found[0], found[1])


def _curve(results: Results, label: str, key: str, colours: Colours, of: str) -> Series:
    """One variant's curve: the mean over seeds at each epoch that all of them had."""
    seeds = [run["curve"] for run in results["runs"] if run["label"] == label]
    epochs = range(min(map(len, seeds)))
    scale = 1 if key == "frames" else 1 / 60
    return Series(
        name=f"{label}, {of.replace('_', ' ')}",
        colour=colours.of_label[label],
        points=[
            (
                scale * statistics.fmean(curve[e][key] for curve in seeds),
                statistics.fmean(curve[e][of] for curve in seeds),
            )
            for e in epochs
        ],
        band=[(min(c[e][of] for c in seeds), max(c[e][of] for c in seeds)) for e in epochs] if len(seeds) > 1 else (),
        is_dashed=of == "train_loss",
    )


def _by_label(results: Results, key: str) -> dict[str, dict[str, Any]]:
    """A part of the report of each variant's first seed and of each baseline, where it was measured."""
    split = results["split"]
    found: dict[str, dict[str, Any]] = {}
    for one in [*results["baselines"], *results["runs"]]:
        report = one["reports"].get(split, {})
        if key in report:
            found.setdefault(one["label"], report[key])
    return found


def _setting(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "default" if value is None else str(value)

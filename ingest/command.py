"""One call of ``exphil ingest``: sources into a store, or the datasets of ``data_manifest.yaml`` one after the other.

Progress and reports go to stderr. A filter on the command line is an error where the datasets' file decides, because it would
contradict the file's lock.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from dataset.errors import BusyError, ConfigError
from dataset.reporting.terminal import ProgressLines, command_line, option_name
from dataset.schema import SCHEMA_VERSION
from dataset.slippi.repair import REASONS
from dataset.store.manifest import url_of
from ingest.datasets import DATASETS_NAME, Dataset, Lock, load_datasets, write_lock
from ingest.jobs.pipeline import IngestReport, Progress, cpu_seconds, ingest, ingest_candidates
from ingest.options import IngestOptions
from ingest.replay.judge import SENTENCES
from ingest.sources.find import check_source
from ingest.sources.reader import Candidate
from ingest.sources.watch import watch

T = TypeVar("T")

MOST_NAMED = 3
"""Sources that a line names, also where a shell made hundreds of a pattern."""

PARSERS = ("peppi-py", "peppi-py-vladfi")
"""Packages that provide ``peppi_py``: the one that exphil installs, and a fork that somebody may have put in its place."""

INTERVAL_S = 10.0
"""Between two searches of ``--watch``."""

_SUMS = (
    *("replays_found", "replays_new", "replays_ingested", "replays_rejected", "replays_failed", "replays_duplicate"),
    "replays_repaired",
    *("frames", "store_replays", "store_frames", "seconds", "cpu_seconds"),
)
_TALLIES = ("rejections", "failures", "duplicates", "repairs")


def ingest_sources(
    sources: Sequence[Path], store: Path | None, dataset: str | None, options: Mapping[str, Any]
) -> IngestReport:
    """Ingest what the command line names."""
    return _ingest(sources, str(_store_for_sources(store, dataset)), IngestOptions(**options))


def _store_for_sources(store: Path | None, dataset: str | None) -> Path:
    if store is None:
        raise ConfigError("--store: a SOURCE needs a store to go to, found none; add --store FOLDER")
    if dataset is not None:
        raise ConfigError(
            f"--dataset {dataset}: names a dataset of {DATASETS_NAME}, so it cannot take effect beside a SOURCE; drop one"
        )
    return store


def ingest_datasets(
    store: Path | None, dataset: str | None, filters: Mapping[str, Any], per_run: Mapping[str, Any]
) -> list[IngestReport]:
    """Ingest the datasets of ``data_manifest.yaml`` in the working folder and write their locks."""
    path = Path(DATASETS_NAME)
    datasets = load_datasets(path)
    given = [*map(option_name, filters), *(["--store"] if store is not None else [])]
    if given:
        raise ConfigError(
            f"{given[0]}: {DATASETS_NAME} decides this for its datasets, so it cannot take effect; "
            "edit the file, or give a SOURCE"
        )
    wanted = [found for found in datasets if dataset in (None, found.name)]
    if not wanted:
        names = ", ".join(found.name for found in datasets)
        raise ConfigError(f"--dataset {dataset}: must be one of {names} (see {DATASETS_NAME}); mend the name")
    for found in wanted:  # all of them before the first ingest, so that a wrong path is reported at once
        with _naming(path, found):
            for source in found.sources:
                check_source(Path(source))
    reports: list[IngestReport] = []
    for found in wanted:
        with _naming(path, found):
            report = _ingest(found.sources, found.store, found.ingest_options(**per_run), is_first=not reports)
        if not per_run["dry_run"]:
            lock = Lock(replays=report.store_replays, frames=report.store_frames, digest=report.digest)
            write_lock(path, found.name, lock)
        reports.append(report)
    return reports


@contextmanager
def _naming(path: Path, dataset: Dataset) -> Iterator[None]:
    """Errors about settings begin with the file and the dataset that hold them."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}, dataset '{dataset.name}': {error}") from error


def watch_sources(
    sources: Sequence[Path],
    store: Path | None,
    dataset: str | None,
    options: Mapping[str, Any],
    interval_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> list[IngestReport]:
    """Ingest files of the sources as they become complete, until Ctrl-C; returns the reports of all rounds with new replays."""
    chosen = IngestOptions(**options)
    folder = _store_for_sources(store, dataset)
    if chosen.rebuild or chosen.dry_run or not sources:
        raise ConfigError(
            "--watch: adds replays as they become complete in a SOURCE, so it needs one, and --rebuild and --dry-run "
            "cannot take effect beside it; run them once, without --watch"
        )
    remote = next(filter(None, map(url_of, sources)), None)
    if remote is not None:
        raise ConfigError(
            f"--watch: looks at folders of this machine, found {remote}; run ingest now and then, or watch a synced folder"
        )
    if interval_s <= 0:
        raise ConfigError(f"--interval: must be above 0 seconds, found {interval_s:g}; leave it out for {INTERVAL_S:g}")
    console = Console(stderr=True)
    reports: list[IngestReport] = []

    def bring_in(ready: list[Candidate], waiting: int) -> None:
        report = _once_it_is_free(lambda: one_round(ready), say, lambda: wait(interval_s))
        if report.replays_new:
            reports.append(report)
            console.print(report_table(report))
        say(_waiting(waiting))

    def say(news: str) -> None:
        console.print(f"watching: {news}; Ctrl-C ends", highlight=False, soft_wrap=True)

    def one_round(ready: list[Candidate]) -> IngestReport:
        with showing_progress(console) as on_progress:
            return ingest_candidates(lambda: ready, folder, chosen, on_progress=on_progress)

    console.print(f"watching {_named(sources)} every {interval_s:g} s; Ctrl-C ends", highlight=False)
    try:
        watch(sources, bring_in, say, interval_s, wait)
    except KeyboardInterrupt:
        console.print("ended; the store holds all that was committed", highlight=False)
        console.print(next_line(folder), highlight=False, soft_wrap=True)
    return reports


def _waiting(num_files: int) -> str:
    if num_files == 0:
        return "all files are in"
    return "1 file is not whole yet" if num_files == 1 else f"{num_files:,} files are not whole yet"


def _once_it_is_free(work: Callable[[], T], say: Callable[[str], None], wait: Callable[[], None]) -> T:
    """What ``work`` returns, as soon as no other process writes to the store."""
    is_reported = False
    while True:
        try:
            return work()
        except BusyError:
            if not is_reported:
                say("another process writes to the store; waiting until it ends")
            is_reported = True
            wait()


def _ingest(
    sources: Sequence[str | Path], store: str, options: IngestOptions, *, is_first: bool = True
) -> IngestReport:
    """Ingest and report; the first of a command takes on the CPU time of what it had to import."""
    imports_s = cpu_seconds() if is_first else 0.0
    console = Console(stderr=True)
    console.print(
        f"{_parser()}, frame table {SCHEMA_VERSION}: {_named(sources)} -> {url_of(store) or store}",
        highlight=False,
        soft_wrap=True,
    )
    with showing_progress(console) as on_progress:
        report = ingest(sources, store, options, on_progress=on_progress)
    report = replace(report, cpu_seconds=report.cpu_seconds + imports_s)
    console.print(report_table(report))
    for line in closing_lines(report, is_dry_run=options.dry_run):
        console.print(line, highlight=False, soft_wrap=True)
    return report


def _parser() -> str:
    """The installed peppi-py, or its fork, and its version."""
    for name in PARSERS:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return f"{PARSERS[0]} of unknown version"


def _named(sources: Sequence[str | Path]) -> str:
    """Sources in a line."""
    more = len(sources) - MOST_NAMED
    places = ", ".join(url_of(source) or str(source) for source in sources[:MOST_NAMED])
    return places + (f" and {more} more" if more > 0 else "")


def as_json(reports: Sequence[IngestReport]) -> str:
    """One JSON object; several datasets, or rounds of a watch, add up; digests of several stores are joined by commas."""
    found: dict[str, Any] = {name: sum(getattr(report, name) for report in reports) for name in _SUMS}
    for name in _TALLIES:
        tally: Counter[str] = Counter()
        for report in reports:
            tally.update(getattr(report, name))
        found[name] = dict(sorted(tally.items()))
    last = {report.store: report for report in reports}
    for name in ("store_replays", "store_frames"):
        found[name] = sum(getattr(report, name) for report in last.values())
    found["stores"] = [str(report.store) for report in last.values()]
    found["digest"] = ",".join(report.digest for report in last.values())
    return json.dumps(found)


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Yield the function that ``ingest`` reports to; it moves by finished jobs of about 20 games, not by single replays."""
    if not console.is_terminal:
        lines = ProgressLines(lambda line: console.print(line, highlight=False))
        yield lambda progress: lines(
            f"ingest: {progress.done} of {progress.total} replays, {progress.frames:,} frames",
            is_last=progress.done >= progress.total,
        )
        return
    columns = (TextColumn("ingest"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda progress: bar.update(
            task, completed=progress.done, total=progress.total, description=f"{progress.frames:,} frames"
        )


def report_table(report: IngestReport) -> Table:
    """What became of every replay, by reason."""
    table = Table(title=f"{report.store}", title_justify="left")
    table.add_column("replays", justify="right")
    table.add_column("status")
    table.add_column("reason")
    known = report.replays_found - report.replays_new
    table.add_row(f"{report.replays_found:,}", "found", "")
    if known:
        table.add_row(f"{known:,}", "known", "unchanged since an earlier ingest")
    table.add_row(f"{report.replays_ingested:,}", "ingested", f"{report.frames:,} frames")
    for status, total, reasons, sentences in (
        ("of these repaired", report.replays_repaired, report.repairs, REASONS),
        ("rejected", report.replays_rejected, report.rejections, SENTENCES),
        ("failed", report.replays_failed, report.failures, SENTENCES),
        ("duplicate", report.replays_duplicate, report.duplicates, SENTENCES),
    ):
        if total or status != "of these repaired":
            table.add_row(f"{total:,}", status, "")
        for reason, count in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])):
            table.add_row(f"{count:,}", "", f"{reason}: {sentences[reason]}" if reason in sentences else reason)
    return table


def closing_lines(report: IngestReport, *, is_dry_run: bool) -> list[str]:
    """What the store holds now, the cost, and what to type next."""
    hours = report.store_frames / 60 / 3600
    verb = "would hold" if is_dry_run else "holds"
    lines = [
        f"{report.store} {verb} {report.store_replays:,} replays, {report.store_frames:,} frames ({hours:.1f} h), "
        f"digest {report.digest}",
        f"{report.seconds:.1f} s, {report.cpu_seconds:.1f} CPU s",
    ]
    if is_dry_run:
        return [*lines, "next: the same command without --dry-run"]
    if report.replays_found == 0:
        return [*lines, "next: name the folder or archive that holds .slp files; here is none"]
    if report.store_replays == 0:
        more = "; --include-cpu and --min-frames let more in" if report.replays_rejected else ""
        return [*lines, f"next: look at the reasons above{more}"]
    return [*lines, next_line(report.store)]


def next_line(store: Path | str) -> str:
    """The command after an ingest; the files behind a URL are verified whenever they are used."""
    url = url_of(store)
    return f"next: {command_line('verify', '--store', store) if url is None else command_line('stats', '--store', url)}"

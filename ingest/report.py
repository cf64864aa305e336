"""What the ingest command prints: progress while it runs, a table at its end, all to stderr.

In: ``Progress`` and ``IngestReport``. Out: a bar on a terminal, a plain line every few seconds elsewhere. The surprise: the
bar moves by finished jobs of about 20 games, not by single replays.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from dataset.reporting.command_lines import command_line
from dataset.reporting.progress import ProgressLines
from dataset.store.location import url_of
from ingest.jobs.pipeline import IngestReport, Progress
from ingest.replay.judge import SENTENCES


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Yield the function that ``ingest`` reports to."""
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
    for status, total, reasons in (
        ("rejected", report.replays_rejected, report.rejections),
        ("failed", report.replays_failed, report.failures),
        ("duplicate", report.replays_duplicate, report.duplicates),
    ):
        table.add_row(f"{total:,}", status, "")
        for reason, count in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])):
            table.add_row(f"{count:,}", "", f"{reason}: {SENTENCES[reason]}" if reason in SENTENCES else reason)
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
    """What to type after an ingest; the files behind a URL are verified whenever they are used."""
    url = url_of(store)
    return f"next: {command_line('verify', '--store', store) if url is None else command_line('stats', '--store', url)}"

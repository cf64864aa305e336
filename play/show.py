"""What play's commands print for people: tables to stdout.

Where no terminal is, tables are wide enough not to wrap.
"""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from play.check import Verdict

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_WIDTH_WITHOUT_TERMINAL = 180


def stdout_console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False)


def check_table(verdict: Verdict) -> Table:
    """A row a finding, its fix below what was found."""
    title = "ready to play" if verdict.ok else "NOT ready: see the lines marked fail"
    table = Table(title=title, title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("")
    table.add_column("found, and what to do", overflow="fold")
    for finding in verdict.findings:
        told = Text(finding.detail)
        if finding.fix:
            told.append(f"\n→ {finding.fix}", style=_COLOURS[finding.status])
        table.add_row(finding.name, Text(finding.status, style=_COLOURS[finding.status]), told)
    return table

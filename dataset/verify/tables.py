"""The verdict on a store, for people and for scripts."""

from typing import Any

from rich.table import Table

from dataset.verify.checks import Verdict


def verdict_table(verdict: Verdict, store: str) -> Table:
    """One row per check."""
    table = Table(title=f"{store}: {'every check holds' if verdict.ok else 'NOT in order'}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for check in verdict.checks:
        word = "[yellow]warning[/]" if check.is_warning else "[green]ok[/]" if check.ok else "[bold red]FAILED[/]"
        table.add_row(check.name, word, check.detail)
    return table


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as scripts read it."""
    leak = verdict.leak
    return {
        "ok": verdict.ok,
        "checks": [
            {"name": check.name, "ok": check.ok, "warning": check.is_warning, "detail": check.detail}
            for check in verdict.checks
        ],
        "leak": {"own_row": leak.own_row, "row_before": leak.row_before, "onsets": leak.onsets, "status": leak.status},
    }

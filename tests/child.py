"""Commands of exphil within the tests' own process, which has loaded all that they need."""

import json
import sys
from importlib import import_module
from typing import Any

import typer
from typer.testing import CliRunner


def within(*arguments: str, say: Any = None) -> tuple[dict[str, Any], list[str]]:
    """Run a command as ``dataset.io.child.run_child`` does."""
    app = typer.Typer()
    for stage in ("ingest", "dataset", "train", "play"):
        import_module(f"{stage}.cli").register(app)
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    sys.stderr.write(done.stderr)
    *lines, answer = done.stdout.splitlines()
    return json.loads(answer), lines

"""The commands of this stage; each lies in ``train.commands`` and imports what it needs when it runs."""

from importlib import import_module

import typer

COMMANDS = ("train", "eval", "export", "compare", "doctor", "hub")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name in COMMANDS:
        import_module(f"train.commands.{name}").register(app)

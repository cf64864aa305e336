"""The end of a command's ``--help``: commands to copy, which a test parses (``tests/test_docs.py``).

In: whole command lines. Out: typer's ``epilog``. The surprise: typer joins lines, and only an empty one keeps them apart.
"""

HEADING = "Examples"


def examples(*lines: str) -> str:
    """The epilog of a command: ``lines`` as they are typed, under a heading."""
    return "\n\n".join((HEADING, *lines))

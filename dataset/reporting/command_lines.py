"""Commands and options as people type them, for hints, errors and the examples that end every ``--help``."""

import re
import shlex

HEADING = "Examples"

_NEEDS_SINGLE = re.compile(r'["$`\\!]')
"""What a shell reads inside double quotes."""


def command_line(*words: object) -> str:
    """The command ``exphil`` with these words, quoted where needed, for people to paste.

    Double quotes wherever they do, since hints stand in single ones, and PowerShell knows them too.
    """
    return " ".join(("exphil", *(_quoted(str(word)) for word in words)))


def _quoted(word: str) -> str:
    quoted = shlex.quote(word)
    return quoted if quoted == word or _NEEDS_SINGLE.search(word) else f'"{word}"'


def option_name(name: str) -> str:
    """The option that sets a field or parameter: ``--batch-size`` for ``batch_size``."""
    return f"--{name.replace('_', '-')}"


def examples(*lines: str) -> str:
    """Command lines to copy, as the ``epilog`` of a command's help; a test parses each of them."""
    return "\n\n".join((HEADING, *lines))  # typer joins lines unless an empty one parts them

"""What people read on a terminal: commands and options as they type them, and the progress of long work in plain lines."""

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

HEADING = "Examples"

LINE_EVERY_S = 5.0
WIDTH_WITHOUT_TERMINAL = 180

T = TypeVar("T")

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in b"\n\t"}
_CONTROLS |= {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
}
"""What a terminal obeys instead of showing it (escapes, and marks that turn the order of text round), and halves of characters,
which no stream can print."""
_LINE_BREAKS = {ord("\n"): "\\n"}


def printable(text: str, *, is_one_line: bool = False) -> str:
    """The text with everything that a terminal would obey spelt out: names of files and players are a stranger's words."""
    shown = text.translate(_CONTROLS)
    return shown.translate(_LINE_BREAKS) if is_one_line else shown


def make_rich_printable() -> None:
    """Let rich spell out what ``printable`` does, in tables, progress and errors; by itself it keeps escapes."""
    from rich import control

    control._CONTROL_STRIP_TRANSLATE.update({code: words for code, words in _CONTROLS.items() if code != ord("\r")})


_NEEDS_SINGLE = re.compile(r'["$`\\!]')
"""What a shell reads inside double quotes."""


def command_line(*words: object) -> str:
    """The command ``exphil`` with these words, quoted where needed, for people to paste.

    Double quotes wherever they do, since hints stand in single ones, and PowerShell knows them too.
    """
    return " ".join(("exphil", *(_quoted(str(word)) for word in words)))


def _quoted(word: str) -> str:
    word = printable(word, is_one_line=True)
    quoted = shlex.quote(word)
    return quoted if quoted == word or _NEEDS_SINGLE.search(word) else f'"{word}"'


def option_name(name: str) -> str:
    """The option that sets a field or parameter: ``--batch-size`` for ``batch_size``."""
    return f"--{name.replace('_', '-')}"


def examples(*lines: str) -> str:
    """Command lines to copy, as the ``epilog`` of a command's help; a test parses each of them."""
    return "\n\n".join((HEADING, *lines))  # typer joins lines unless an empty one parts them


def stdout_console() -> "Console":
    """Where results go; without a terminal, wide enough that no table wraps."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(printable(line), file=sys.stderr)  # noqa: T201


class ProgressLines:
    """Passes on a line every few seconds and drops those between; called with each state of the work as a line."""

    def __init__(self, say: Callable[[str], None] = to_stderr) -> None:
        self._say, self._last = say, time.monotonic()

    def __call__(self, line: str, *, is_last: bool = False) -> None:
        """Say the line if it is time for one, or if it is the last."""
        now = time.monotonic()
        if is_last or now - self._last >= LINE_EVERY_S:
            self._last = now
            self._say(line)


def with_progress(parts: Iterable[T], total: int, about: str, say: Callable[[str], None]) -> Iterator[T]:
    """The same ``parts``, with a line every few seconds of how many of ``total`` were done: ``test: 3 of 12 batches``."""
    lines = ProgressLines(say)
    for number, part in enumerate(parts):
        lines(f"{about}: {number} of {total} batches")
        yield part

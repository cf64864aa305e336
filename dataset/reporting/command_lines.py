"""Commands as people type them: what hints and errors tell them to paste.

In: the words of a command. Out: one line that any shell splits into the same words. The surprise: double quotes wherever they
do, since hints stand in single ones, and PowerShell knows them too.
"""

import re
import shlex

_NEEDS_SINGLE = re.compile(r'["$`\\!]')
"""What a shell reads inside double quotes."""


def typed(*words: object) -> str:
    """The command ``exphil`` with these words, each quoted that needs it."""
    return " ".join(("exphil", *(_quoted(str(word)) for word in words)))


def _quoted(word: str) -> str:
    quoted = shlex.quote(word)
    return quoted if quoted == word or _NEEDS_SINGLE.search(word) else f'"{word}"'

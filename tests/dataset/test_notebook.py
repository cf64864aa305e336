import ast
import contextlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.md"
CELL = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def run_cell(code: str, names: dict[str, Any]) -> str:
    """What a notebook shows of a cell: what it prints, and the value of a last expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            if value is not None:
                print(value)  # noqa: T201
    return out.getvalue()


def run_cells(text: str) -> list[tuple[re.Match[str], str]]:
    """Every cell with what it shows, run in order in the working directory."""
    names: dict[str, Any] = {}
    return [(cell, run_cell(cell["code"], names)) for cell in CELL.finditer(text)]


def test_the_notebook_shows_what_its_cells_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = run_cells(text)
    assert len(cells) == text.count("```python")
    for cell, shown in cells:
        assert shown.split() == (cell["shown"] or "").split(), (
            f"{cell['code']}\nWrite all again: python -m tests.dataset.test_notebook"
        )


def write_again() -> None:
    """Put what every cell shows now into the notebook."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        cells = run_cells(text)
    for cell, shown in reversed(cells):
        output = f"\n```text\n{shown}```\n" if shown else ""
        text = f"{text[: cell.start()]}```python\n{cell['code']}```\n{output}{text[cell.end() :]}"
    NOTEBOOK.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_again()

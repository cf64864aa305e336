"""The command as a whole: light to import, honest about what is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dataset

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "polars", "pyarrow", "peppi_py", "melee", "wandb", "numpy")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, exphil\nexphil.build_app()\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code).stdout.strip() == "[]"


def test_dataset_is_our_package_and_not_the_one_on_pypi() -> None:
    assert Path(str(dataset.__file__)).resolve() == ROOT / "dataset" / "__init__.py"


def test_a_foreign_dataset_package_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['exphil', '--help']; import exphil; exphil.main()"
    done = run_python(code)
    assert done.returncode == 1
    assert f"found {tmp_path / 'dataset' / '__init__.py'}" in done.stderr


def test_a_missing_library_is_one_sentence_that_names_the_extra() -> None:
    code = (
        "import exphil, sys\n"
        "def app(): raise ModuleNotFoundError('No module', name='melee')\n"
        "exphil.build_app = lambda: app\n"
        "exphil.main()"
    )
    done = run_python(code)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: melee is not installed; this command needs it: pip install 'exphil[play]'"


def test_errors_of_usage_exit_2_and_errors_of_work_exit_1() -> None:
    template = (
        "import exphil\nfrom dataset.errors import *\n"
        "def app(): raise {}('broken')\n"
        "exphil.build_app = lambda: app\n"
        "exphil.main()"
    )
    assert run_python(template.format("ConfigError")).returncode == 2
    assert run_python(template.format("SchemaError")).returncode == 1


def test_a_folder_that_may_not_be_written_to_is_told_in_a_sentence() -> None:
    template = (
        "import errno, exphil\n"
        "def app(): raise OSError(errno.{}, 'Sorry', 'runs/x')\n"
        "exphil.build_app = lambda: app\n"
        "exphil.main()"
    )
    done = run_python(template.format("EACCES"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: runs/x: needs room and permission, found: Sorry; ")
    assert "Traceback" in run_python(template.format("EBADF")).stderr


def test_a_name_that_no_file_can_have_is_wrong_usage() -> None:
    done = run_python(f"import sys, exphil; sys.argv = ['exphil', 'verify', '--store', {'n' * 300!r}]; exphil.main()")
    assert (done.returncode, "must be the name of a file" in done.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["ENOTDIR", "EISDIR", "EEXIST"])
def test_a_place_that_is_taken_is_wrong_usage(kind: str) -> None:
    app = f"import errno, exphil\ndef app(): raise OSError(errno.{kind}, 'Sorry', 'runs/x')\n"
    done = run_python(f"{app}exphil.build_app = lambda: app\nexphil.main()")
    assert (done.returncode, "runs/x: must be the name of a file or folder there" in done.stderr) == (2, True)


def test_ctrl_c_is_told_in_a_sentence_and_work_that_failed() -> None:
    code = (
        "import exphil, typer\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work(): raise KeyboardInterrupt\n"
        "exphil.build_app = lambda: app\n"
        "exphil.main()"
    )
    done = run_python(code)
    assert (done.returncode, "error: interrupted by Ctrl-C" in done.stderr) == (130, True)


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_ctrl_c_while_starting_is_told_in_a_line(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", "import exphil; exphil.main()"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)
    assert done.stderr.startswith("error: interrupted by Ctrl-C")


EVIL = "\x1b[31mred\x07\x9b2J\u202etxt\nnext"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", f"/nowhere/{EVIL}", "--store", "x"],
        ["verify", "--store", f"/nowhere/{EVIL}"],
        ["inspect", "--replay", f"/nowhere/{EVIL}.slp"],
        ["eval", "--policy", EVIL],
        [EVIL],
        ["verify", f"--{EVIL}"],
        ["train", "--store", "x", "--name", "y", "--backbone", EVIL],
    ],
)
def test_no_argument_reaches_the_terminal_as_a_command_to_it(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exphil", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "300"},
        check=False,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(done.stdout + done.stderr)
    assert "x1b" in done.stderr


def test_the_shell_completes_commands_and_options() -> None:
    def completed(*words: str) -> list[str]:
        asked = {"_EXPHIL_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        code = f"import os, exphil; os.environ.update({asked!r}); exphil.build_app()(prog_name='exphil')"
        return run_python(code).stdout.split()

    assert completed("exphil", "tra") == ["train"]
    assert completed("exphil", "sync", "--re") == ["--remote"]


def test_help_shows_no_value_beside_a_flag_and_no_type_of_python() -> None:
    code = (
        "import exphil, typer\n"
        "from typer.testing import CliRunner\n"
        "app = exphil.build_app()\n"
        "for words in ([], *([name] for name in typer.main.get_command(app).commands)):\n"
        "    print(CliRunner().invoke(app, [*words, '--help'], terminal_width=160).output)"
    )
    shown = run_python(code).stdout
    assert re.findall(r"<bool>|<list|Path\]|\[\[", shown) == []
    assert re.search(r"--json +Print one JSON", shown)
    assert "ingest [OPTIONS] [SOURCE]..." in shown

"""Zips of entries: what they hold, that they play by themselves, and which runs the league cannot take."""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.errors import ConfigError, ExphilError
from dataset.melee.ids import CHARACTERS
from tests.extras import ROOT
from tests.play.builders import export, random_run
from train.cli import register
from train.config.run_config import WINDOW
from train.export import conformance
from train.export.conformance import conform
from train.export.entry import PACKAGE, REQUIREMENTS, Entry, league_name, write_entry
from train.policy.config import BACKBONES

Changes = dict[str, Any]


@pytest.fixture(scope="module")
def entry(exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Entry:
    return write_entry(exported_run, tmp_path_factory.mktemp("entry") / "bot.zip", name='It\'s "Mewtwo"')


def test_an_entry_passes_the_leagues_conformance_test(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("umi", reason="umi-melee is not installed")
    monkeypatch.setattr(conformance, "MOST_GAMES", 16)
    monkeypatch.setattr(conformance, "STEPS", 10)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    checks = conform(entry.path, as_json=True)
    assert [check["name"] for check in checks if check["status"] == "skip"] == ["determinism"]
    assert {check["status"] for check in checks} == {"pass", "skip"}
    assert {"no internal delay", "lanes and game churn", "characters", "reply time N=8", "shutdown"} <= {
        check["name"] for check in checks
    }
    (said,) = (check["detail"] for check in checks if check["name"] == "hello fields")
    assert said == 'It\'s "Mewtwo": characters MEWTWO, delay 2'


def test_a_bot_that_fails_is_an_error_with_the_reason(entry: Entry, tmp_path: Path) -> None:
    pytest.importorskip("umi", reason="umi-melee is not installed")
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(entry.path) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            if name != "policy.onnx":
                target.writestr(name, source.read(name))
    with pytest.raises(ExphilError, match=r"broken\.zip.*policy\.onnx"):
        conform(broken, as_json=True)


def test_a_zip_holds_one_package_that_needs_numpy_and_onnx_runtime_only(entry: Entry) -> None:
    with zipfile.ZipFile(entry.path) as archive:
        names = archive.namelist()
        requirements = archive.read("requirements.txt").decode().split("\n")
        record = json.loads(archive.read("config.json"))
        licence = archive.read("LICENSE").decode()
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert {name.partition("/")[0] for name in names} == {
        "run.py", "LICENSE", "requirements.txt", "config.json", "policy.onnx", PACKAGE,
    }  # fmt: skip
    assert requirements == [*REQUIREMENTS, ""]
    assert record.keys() == {"schema_version", "encoder_digest", "codec", "codec_digest", "contract", "config"}
    assert f"{PACKAGE}/play/umi/games.py" in names
    assert not any("train/policy" in name or "torch" in name for name in names)


LOADED = f"""
import sys
sys.path.insert(0, sys.argv[1])
import {PACKAGE}.play.umi.games
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_what_an_entry_loads_is_its_own_package_numpy_and_onnx_runtime(entry: Entry, tmp_path: Path) -> None:
    with zipfile.ZipFile(entry.path) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run([sys.executable, "-I", "-c", LOADED, tmp_path], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {PACKAGE, "numpy", "onnxruntime"} <= loaded
    others = {"dataset", "ingest", "train", "play", "torch", "pyarrow", "polars", "peppi_py", "melee", "rich", "typer"}
    assert loaded & others == set()


def test_name_characters_and_delay_are_literals(entry: Entry) -> None:
    with zipfile.ZipFile(entry.path) as archive:
        tree = ast.parse(archive.read("run.py").decode())
    (bot,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    said = {
        ast.unparse(each.targets[0]): ast.literal_eval(each.value) for each in bot.body if isinstance(each, ast.Assign)
    }
    assert said == {"name": 'It\'s "Mewtwo"', "characters": "MEWTWO", "delay": 2, "pad": False}


def test_the_same_run_gives_the_same_bytes(exported_run: Path, tmp_path: Path) -> None:
    first, second = (write_entry(exported_run, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.name, first.bytes) == (exported_run.name, first.path.stat().st_size)


def test_characters_have_the_leagues_names() -> None:
    frame = pytest.importorskip("umi.frame", reason="umi-melee is not installed")
    assert {league_name(each): each.internal for each in CHARACTERS} == frame.CHARACTERS


REFUSED: dict[str, tuple[Changes, Changes, str]] = {
    "delay": ({}, {"delay": 31}, "found 31; train with a shorter --delay"),
    "windows": ({"contract": WINDOW}, {"sampling": "windows"}, "--sampling lanes"),
    "everybody": ({}, {"character": None}, "give --character, one of captain_falcon"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_run_that_cannot_be_entered_is_refused_with_the_reason(
    exported_run: Path, tmp_path: Path, reason: str
) -> None:
    changes, data, words = REFUSED[reason]
    run = Path(shutil.copytree(exported_run, tmp_path / "run"))
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    record["config"]["data"] |= data
    (run / "config.json").write_text(json.dumps(record | changes), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        write_entry(run, tmp_path / "bot.zip")
    assert not (tmp_path / "bot.zip").exists()
    if reason == "everybody":
        assert write_entry(run, tmp_path / "bot.zip", character="ice climbers").characters == "POPO"


def test_a_name_that_no_table_can_show_is_refused(exported_run: Path, tmp_path: Path) -> None:
    for name in ("x" * 65, "two\nlines"):
        with pytest.raises(ConfigError, match="--entry-name"):
            write_entry(exported_run, tmp_path / "bot.zip", name=name)


def exphil(*arguments: str) -> Any:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["export", *arguments])


def test_options_of_entries_need_a_zip(exported_run: Path) -> None:
    for option in (["--check"], ["--entry-name", "Mine"], ["--character", "fox"]):
        error = exphil(str(exported_run), *option).exception
        assert isinstance(error, ConfigError)
        assert option[0] in str(error)
        assert "--umi" in str(error)


def test_a_check_without_umi_melee_says_what_to_install(
    exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "find_spec", lambda name: None)
    error = exphil(str(exported_run), "--umi", str(tmp_path / "bot.zip"), "--check").exception
    assert isinstance(error, ConfigError)
    assert "exphil[umi]" in str(error)
    assert not (tmp_path / "bot.zip").exists()


def test_the_command_writes_the_zip_and_says_what_was_checked(
    exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    done = SimpleNamespace(path=Path("policy.onnx"), bytes=1, max_abs_error=0.0, different_frames=0)
    monkeypatch.setattr("train.export.export.export_run", lambda run, **options: done)
    monkeypatch.setattr(
        conformance, "conform", lambda path, *, as_json: [{"name": "hello", "status": "pass", "detail": str(as_json)}]
    )
    path = tmp_path / "bot.zip"
    printed = exphil(str(exported_run), "--umi", str(path), "--check", "--json")
    assert printed.exit_code == 0, printed.exception
    said = json.loads(printed.stdout.splitlines()[-1])
    assert said["entry"] == {"path": str(path), "bytes": path.stat().st_size}
    assert said["checks"] == [{"name": "hello", "status": "pass", "detail": "True"}]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that holds what an entry asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 18, 21])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_entered_from_an_environment_of_its_own(
    bare: Path, tmp_path: Path, backbone: str, delay: int
) -> None:
    entry = write_entry(export(random_run(tmp_path / "run", backbone=backbone, delay=delay)), tmp_path / "bot.zip")
    folder = tmp_path / "empty"
    with zipfile.ZipFile(entry.path) as archive:
        archive.extractall(folder)
    environment = {"PATH": f"{bare}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bare / "umi-conform", "--cmd", "python run.py"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: 20 passed, 0 failed, 0 warnings" in done.stdout

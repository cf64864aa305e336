"""``exphil doctor``: what is installed, what of it works, and how fast; never how fast it should be."""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from train.cli import register
from train.commands import doctor
from train.commands.doctor import EXTRAS, SIMULATOR, Library, facts_of, look, usable_extras

ROOT = Path(__file__).parents[3]
GIB = 2**30


def found(*, missing: tuple[str, ...] = (), broken: tuple[str, ...] = (), torch: Any = None) -> dict[str, Any]:
    """A machine on which everything works but what is named."""
    names = {SIMULATOR, *(name for listed in EXTRAS.values() for name in listed)}
    libraries = {name: Library(name=name, version=None if name in missing else "1.0") for name in sorted(names)}
    libraries |= {name: replace(libraries[name], fault="ImportError: no") for name in broken}
    libraries["torch"] = replace(libraries["torch"], answer=torch)
    return facts_of(libraries, 4) | {"memory_bytes": 8 * GIB, "memory_free_bytes": None, "disk_free_bytes": GIB}


def run(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], *arguments: str) -> Result:
    monkeypatch.setattr(doctor, "diagnose", lambda: facts)
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        held: set[str] = set()
        for line in requirements:
            nested = re.match(r"exphil\[(.+)\]", line)
            inner = [project["optional-dependencies"][extra] for extra in nested[1].split(",")] if nested else []
            held |= {name for lines in inner for name in names(lines)} if nested else {re.split("[<>=\\[]", line)[0]}
        return held

    assert names(project["dependencies"]) == set(EXTRAS["core"])
    listed = {extra: names(lines) for extra, lines in project["optional-dependencies"].items() if extra != "all"}
    assert listed == {extra: set(held) for extra, held in EXTRAS.items() if extra != "core"}


def test_a_library_is_imported_elsewhere_so_that_a_crash_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sound_lib.py").write_text("")
    (tmp_path / "torn_lib.py").write_text("raise OSError('libx.so.1: cannot open')")
    (tmp_path / "crashing_lib.py").write_text("import os; os._exit(132)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert [look(name) for name in ("sound-lib", "torn-lib", "crashing-lib", "absent-lib")] == [
        Library(name="sound-lib", version="unknown"),
        Library(name="torn-lib", version="unknown", fault="OSError: libx.so.1: cannot open"),
        Library(name="crashing-lib", version="unknown", fault="the import ended with 132"),
        Library(name="absent-lib", version=None),
    ]


def test_what_is_missing_is_told_with_the_command_that_adds_it_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run(monkeypatch, found(missing=("melee", "ray")), "--no-speed")
    assert result.exit_code == 0
    assert "play       lacks melee: pip install 'exphil[play]'\n" in result.stdout
    assert "train      ok\n" in result.stdout
    assert "memory     unknown of 8.0 GiB free\n" in result.stdout


def test_what_is_installed_and_broken_is_named_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, found(broken=("onnx",)), "--no-speed")
    assert result.exit_code == 1
    assert "train      BROKEN\n           onnx 1.0: ImportError: no\n" in result.stdout
    told = json.loads(run(monkeypatch, found(broken=("onnx",)), "--no-speed", "--json").stdout)
    assert (told["ok"], told["speeds"], told["extras"]["train"]["broken"]) == (False, None, {"onnx": "ImportError: no"})


def test_without_the_core_no_part_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_extras(found()) == [extra for extra in EXTRAS if extra != "core"]
    assert usable_extras(found(missing=("polars",))) == []
    assert run(monkeypatch, found(missing=("polars",)), "--no-speed").exit_code == 1


def test_every_part_is_measured_one_on_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DUEL_FRAMES", 1900), ("LOADER_SECONDS", 0.01), ("STEP_FRAMES", 5)):
        monkeypatch.setattr(doctor, name, value)
    for name, value in (("WARM_STEPS", 1), ("TIMED_STEPS", 2)):
        monkeypatch.setattr(f"train.fit.pace.{name}", value)
    measured = doctor.measure_speeds(["ingest", "train"])
    assert (measured["skipped"], measured["failed"]) == ({}, {})
    for name in doctor.SPEEDS:
        assert measured[name] > 0, name


def test_a_part_without_its_extra_is_skipped_and_behind_a_failed_one_none_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def torn(folder: Path) -> float:
        raise OSError("libx.so.1: cannot open")

    monkeypatch.setattr(doctor, "_parse", torn)
    told = doctor.measure_speeds(["ingest"])
    assert told["failed"] == {"parse_frames_per_cpu_second": "OSError: libx.so.1: cannot open"}
    assert told["skipped"] == {
        "loader_windows_per_second": "builds on parse_frames_per_cpu_second",
        "train_frames_per_second": "needs exphil[train]",
        "step_ms_p50": "needs exphil[train]",
    }
    result = run(monkeypatch, found(missing=("torch",)))
    assert result.exit_code == 1
    assert "ingest     BROKEN: OSError: libx.so.1: cannot open\n" in result.stdout
    assert "training   needs exphil[train]\n" in result.stdout


def test_a_device_is_told_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cards: list[dict[str, Any]] = [{"name": "Some card", "memory_bytes": 16 * GIB, "free_bytes": 15 * GIB}]
    out = run(monkeypatch, found(torch={"instructions": "AVX2", "cuda": cards}), "--no-speed").stdout
    assert "CPU        4 usable, AVX2\nCUDA       Some card, 15.0 GiB of 16.0 GiB free\n" in out


def test_the_versions_of_all_libraries_stand_in_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    out = run(monkeypatch, found(), "--no-speed").stdout
    assert max(map(len, out.splitlines())) <= 100
    assert "libraries  " in out
    assert "\n           " in out


def test_the_simulator_of_the_arena_is_listed_and_a_broken_one_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, found(missing=(SIMULATOR,)), "--no-speed")
    assert result.exit_code == 0
    assert "melee-sim  not installed: exphil arena --world melee-sim needs it" in result.stdout
    assert "melee-sim  1.0\n" in run(monkeypatch, found(), "--no-speed").stdout
    result = run(monkeypatch, found(broken=(SIMULATOR,)), "--no-speed")
    assert (result.exit_code, "melee-sim  BROKEN ImportError: no" in result.stdout) == (1, True)

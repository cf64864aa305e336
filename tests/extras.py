"""An environment in which only one extra is installed: the others' libraries are there, but not found."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

_RUN = """
import json, sys
from importlib.machinery import PathFinder

absent, commands = json.loads(sys.argv[1])


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)


sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
import exphil

codes = [exphil.build_app()(command, standalone_mode=False) or 0 for command in commands]
print(json.dumps(codes))
"""


def installed_by(*extras: str) -> set[str]:
    """The distributions that ``pip install exphil[EXTRAS]`` brings, with all that they need in turn."""
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return set().union(*(_closure(line) for line in wanted))


def importable_with(*extras: str) -> set[str]:
    """Top-level modules of the distributions that these extras bring."""
    brought = installed_by(*extras)
    return {name for name, owners in _owners().items() if owners & brought}


def run_with_only(extra: str, commands: list[list[str]], folder: Path) -> list[int]:
    """Run commands in one process that can import what ``extra`` brings and nothing else; their exit codes."""
    absent = sorted(_owners().keys() - importable_with(extra))
    program = [sys.executable, "-c", _RUN, json.dumps([absent, commands])]
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=folder, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes


@cache
def _owners() -> dict[str, set[str]]:
    found = importlib.metadata.packages_distributions()
    return {name: {canonicalize_name(owner) for owner in owners} for name, owners in found.items()}


@cache
def _closure(line: str) -> frozenset[str]:
    """The distribution of a requirement and of everything it requires; one that is not installed has none of its own."""
    found: set[str] = set()
    waiting = [Requirement(line)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found.add(key[0])
        waiting += _required_by(requirement)
    return frozenset(found)


def _required_by(requirement: Requirement) -> list[Requirement]:
    if canonicalize_name(requirement.name) == "exphil":
        lines = [line for extra in requirement.extras for line in PROJECT["optional-dependencies"][extra]]
    else:
        try:
            lines = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            return []
    needs = [Requirement(line) for line in lines]
    environments = [{"extra": extra} for extra in ("", *requirement.extras)]
    return [need for need in needs if need.marker is None or any(map(need.marker.evaluate, environments))]

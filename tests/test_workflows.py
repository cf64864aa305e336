"""What GitHub reads: workflows, hooks, forms and the citation name only what exists."""

import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dataset.version import VERSION

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def load(path: Path) -> dict[Any, Any]:
    """A YAML file's mapping; a workflow's ``on`` is the key True, as YAML 1.1 has it."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.stem}-{name}") for path in WORKFLOWS for name, job in load(path)["jobs"].items()
    ]


@pytest.mark.parametrize("job", jobs())
def test_every_command_of_a_job_is_a_script_that_exists(job: dict[str, Any]) -> None:
    for step in job.get("steps", []):
        for line in step.get("run", "").splitlines():
            shell, script, *_ = shlex.split(line)
            assert shell in {"sh", "python"}
            assert (ROOT / script).is_file()
            assert (ROOT / script).read_text(encoding="utf-8").startswith("#!/bin/sh") == (shell == "sh")


@pytest.mark.parametrize("job", jobs())
def test_every_action_is_of_a_stated_version_and_every_called_workflow_exists(job: dict[str, Any]) -> None:
    for used in [job.get("uses"), *(step.get("uses") for step in job.get("steps", []))]:
        assert used is None or re.search(r"@(v\d+|release/v\d+)$", used) or (ROOT / used).is_file()


def test_a_workflow_may_read_and_only_publishing_may_do_more() -> None:
    assert [load(path)["permissions"] for path in WORKFLOWS] == [{"contents": "read"}] * 2
    ci, release = (load(path)["jobs"] for path in WORKFLOWS)
    assert not [job for job in ci.values() if "permissions" in job]
    assert {name: job["permissions"] for name, job in release.items() if "permissions" in job} == {
        "publish": {"id-token": "write"}
    }
    assert release["publish"]["needs"] == ["version", "ci"]


def test_ci_tests_every_python_that_the_package_allows() -> None:
    matrix = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    least, beyond = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert matrix["python"] == [f"3.{minor}" for minor in range(least, beyond)]
    assert matrix["include"] == [{"os": "macos-latest", "python": "3.12"}]


def test_ci_runs_what_ci_runs_here() -> None:
    ci = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    runs = {step["run"] for name in ("check", "test") for step in ci[name]["steps"] if "run" in step}
    here = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert runs == {re.split(r" (?:>|\|\|)", line)[0] for line in here if line.startswith("sh ")}


def test_hooks_run_scripts_that_exist() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == ["sh scripts/check"]
    assert (ROOT / "scripts" / "check").is_file()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_commands_that_exist(path: Path) -> None:
    form = load(path)
    assert {"name", "description", "labels", "body"} == form.keys()
    ids = [field.get("id") for field in form["body"] if field["type"] == "textarea"]
    assert "doctor" in ids
    assert len(ids) == len(set(ids))
    app = typer.Typer()
    for stage in ("ingest", "dataset", "train", "play"):
        import_module(f"{stage}.cli").register(app)
    known: Any = typer.main.get_command(app)
    named = set(re.findall(r"`exphil ([a-z-]+)", path.read_text(encoding="utf-8")))
    assert named - known.commands.keys() - {"--version"} == set()


def test_a_tag_is_released_only_if_it_is_the_version() -> None:
    def tagged(tag: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "scripts/tagged", tag], cwd=ROOT, capture_output=True, text=True, check=False
        )

    assert tagged(f"v{VERSION}").returncode == 0
    refused = tagged("v99.0.0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("tag v99.0.0: must be v")
    assert "dataset/version.py" in refused.stderr


def test_the_citation_agrees_with_the_package() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["title"] == PROJECT["name"]
    assert citation["abstract"] == PROJECT["description"]
    assert citation["license"] == PROJECT["license"]

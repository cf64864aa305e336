"""The package as it is installed: one version, wheel and sdist whole, and each extra enough for its commands."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from dataset.version import VERSION
from tests.extras import PROJECT, ROOT, importable_with, run_with_only

STAGES = ("ingest", "dataset", "train", "play")
OPTIONAL = {"huggingface_hub", "openvino", "py7zr", "ray", "s3fs"}
"""Declared by extras that may not be installed here, so their distributions tell nothing."""


def test_version_is_the_one_constant() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exphil", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"exphil {VERSION}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "dataset/version.py"


def test_every_library_that_the_code_imports_is_declared() -> None:
    declared = importable_with(*PROJECT["optional-dependencies"]) | OPTIONAL
    ours = {"exphil", *STAGES}
    assert (
        set().union(*(imported(ROOT / stage) for stage in STAGES)) - declared - ours - sys.stdlib_module_names == set()
    )


def imported(folder: Path) -> set[str]:
    """Top-level names that any line below ``folder`` imports, those inside functions too."""
    line = re.compile(r"^ *(?:from (\w+)[\w.]* import |import (\w+)[\w.]*(?: as \w+)?$)", re.MULTILINE)
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    return {found[1] or found[2] for found in line.finditer(code)}


def test_ingest_alone_takes_in_and_looks_at_a_store(tmp_path: Path) -> None:
    (tmp_path / "games").mkdir()
    generate_replay(tmp_path / "games" / "0.slp", seed=1, characters=("mewtwo", "fox"), frames=2400)
    store = ["--store", str(tmp_path / "store")]
    commands = [
        ["ingest", str(tmp_path / "games"), *store, "--workers", "1"],
        ["verify", *store, "--quick", "--json"],
        ["stats", *store, "--query", "quality"],
        ["stats", *store, "--html", "card.html"],
        ["encode", *store, "--codec", "joint"],
        ["inspect", *store, "--frames", "300:302"],
        ["doctor", "--no-speed"],
    ]
    codes = run_with_only("ingest", commands, tmp_path)
    assert codes == [0] * 7


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_the_licence_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"exphil-{VERSION}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        metadata = wheel.read(f"exphil-{VERSION}.dist-info/METADATA").decode()
    about = f"exphil-{VERSION}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"exphil.py", "ingest", "dataset", "train", "play", about}
    assert {name for name in names if not name.endswith(".py")} == {
        f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert "From replays to a match" in metadata  # the README


@pytest.mark.slow
def test_the_sdist_holds_everything_that_git_tracks(built: Path) -> None:
    root = f"exphil-{VERSION}"
    with tarfile.open(built / f"{root}.tar.gz") as sdist:
        names = {name.removeprefix(f"{root}/") for name in sdist.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name for name in tracked.splitlines() if name not in names} == set()
    assert not {name for name in names if "__pycache__" in name or name.endswith((".slp", ".zip"))}


@pytest.mark.slow
def test_the_wheel_runs_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    wheel = str(built / f"exphil-{VERSION}-py3-none-any.whl")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(install, cwd=tmp_path, check=True)
    # The libraries are borrowed; exphil itself must come from the wheel.
    libraries = sysconfig.get_path("purelib")
    (found,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (found / "borrowed.pth").write_text(f"{libraries}\n")
    where = "import dataset, exphil; print(dataset.__file__, exphil.__file__)"
    told = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told == f"{found}/dataset/__init__.py {found}/exphil.py\n"
    exphil = tmp_path / "venv" / "bin" / "exphil"
    for arguments in (["--help"], ["--version"], ["train", "--help"]):
        subprocess.run([exphil, *arguments], cwd=tmp_path, check=True, capture_output=True)

"""A slice of every attack, with fixed seeds: seconds of what ``scripts/harden`` does for hours."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hardening.__main__ import PARTS, part
from tests.hardening.campaign import Campaign, Case, Part, WrongError, limited
from tests.hardening.parts.commands import Commands

COUNTS = {
    "replays": 80,
    "manifests": 12,
    "shards": 12,
    "flips": 50,
    "archives": 8,
    "spectator": 6,
    "servers": 6,
    "commands": 8,
}
"""Cases of the parts that need neither training, nor root, nor processes of their own; those take longer and run by hand."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where parts share what they make once; their changes to the environment are taken back."""
    before = dict(os.environ)
    yield tmp_path_factory.mktemp("hardening")
    os.environ.clear()
    os.environ.update(before)


class LinesWithoutARun(Commands):
    """No run is trained for a dozen lines."""

    has_run = False


@pytest.mark.parametrize("name", COUNTS)
def test_nothing_goes_wrong_in_a_slice(name: str, folder: Path) -> None:
    kind = LinesWithoutARun if name == "commands" else part(name)
    tally = Campaign(kind, folder, seed=14).run(600, most=COUNTS[name])
    assert tally.skipped is None
    assert tally.attacks > 0
    assert {key: str(finding.case) for key, finding in tally.findings.items()} == {}


def test_every_part_can_be_named() -> None:
    assert all(part(name).name == name for name in PARTS)


class Breaking(Part):
    """Goes wrong when edit 7 is among its edits."""

    name = "breaking"

    def draw(self, number: int) -> Case:
        return Case(number, (1, 7, number))

    def attempt(self, cases: list[Case]) -> None:  # type: ignore[override]
        for case in cases:
            if 7 in case.edits and case.seed % 2:
                raise WrongError("loss", f"case {case.seed}")


def test_a_finding_is_counted_once_by_its_cause_and_shrunk_to_one_edit(tmp_path: Path) -> None:
    tally = Campaign(Breaking, tmp_path, seed=0).run(60, most=10)
    (finding,) = tally.findings.values()
    assert (finding.kind, finding.count, finding.case) == ("loss", 5, Case(1, (7,)))
    assert "--part breaking --case 1:7" in (tmp_path / "breaking-001-loss" / "README").read_text()


class Endless(Breaking):
    """Never ends."""

    limit_s = 0.05

    def attempt(self, cases: list[Case]) -> None:  # type: ignore[override]
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001 (no handler may swallow the time limit)
                continue


def test_a_hang_is_a_finding(tmp_path: Path) -> None:
    (finding,) = Campaign(Endless, tmp_path, seed=0).run(60, most=1).findings.values()
    assert finding.kind == "hang"


def test_a_time_limit_is_taken_back() -> None:
    with limited(0.05):
        pass
    sum(range(3_000_000))


def test_a_case_is_a_line_of_text() -> None:
    assert Case.parse(str(Case(12, (3, 4)))) == Case(12, (3, 4))
    assert Case.parse("5:") == Case(5)

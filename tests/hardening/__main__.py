"""Attacks exphil with generated cases: python -m tests.hardening --minutes N [--part NAME] [--seed S]

Each part in turn gets its share of the time. Findings are written as a folder each, with the command that shows them; the last
lines of stdout are one JSON object per part. Exit 1 if there were findings.
"""

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.hardening.campaign import Campaign, Case, Part, fault_of, line

PARTS = {
    "replays": "replays.Replays",
    "manifests": "stores.Manifests",
    "shards": "stores.Shards",
    "flips": "flips.Flips",
    "runs": "runs.Runs",
    "graphs": "runs.Graphs",
    "archives": "archives.Archives",
    "servers": "servers.Servers",
    "spectator": "spectator.Spectator",
    "commands": "commands.Commands",
    "kills": "kills.Kills",
    "disk": "disk.Disk",
    "writers": "writers.Writers",
}
"""Where each part is."""


def part(name: str) -> type[Part]:
    """The class of a part."""
    module, _, kind = PARTS[name].partition(".")
    found: type[Part] = getattr(import_module(f"tests.hardening.parts.{module}"), kind)
    return found


def main() -> int:
    """Run the parts."""
    parser = argparse.ArgumentParser(
        prog="scripts/harden", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of all parts together")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--most", type=int, default=None, help="cases per part at most")
    parser.add_argument("--case", type=Case.parse, help="try one case again, of one part")
    parser.add_argument("--folder", type=Path, help="for findings and scratch files; a new one under TMPDIR otherwise")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="harden-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    _say(f"seed {given.seed}, findings in {folder}")
    bad = 0
    for name in given.part:
        campaign = Campaign(part(name), folder, given.seed)
        if given.case is not None and campaign.part is not None:
            found = fault_of(campaign.part, [given.case])
            _say("nothing wrong" if found is None else f"{found.kind}: {found.what}")
            return int(found is not None)
        tally = campaign.run(60 * given.minutes / len(given.part), given.first, given.most)
        for finding in tally.findings.values():
            _say(f"{finding.part} {finding.kind} ×{finding.count}: {finding.what} (--case {finding.case})")
        sys.stdout.write(line(tally) + "\n")
        sys.stdout.flush()
        bad += len(tally.findings)
    return int(bad > 0)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

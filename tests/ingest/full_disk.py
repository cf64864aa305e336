"""Run as a script in a mount namespace of its own: ingests and encodes on a file system that is too small, then made larger.

In: a folder of replays and the bytes of its whole store. Out: one line of JSON for each share of those bytes that the file
system was given: the error, what the store held then, and what the next run made of it.
"""

import json
import subprocess
import sys
from pathlib import Path

from dataset.errors import ExphilError
from dataset.store.manifest import MANIFEST_NAME
from dataset.store.reencode import encode_windows
from dataset.store.store import Store
from ingest.jobs import pipeline
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.ingest.kills import check_left, check_sound

SHARES = (0.1, 0.4, 0.6, 0.8, 1.0)


def main(source: str, folder: str, whole_bytes: str) -> None:
    """Fill file systems mounted at ``folder``."""
    pipeline.MIN_JOB_BYTES = pipeline.MAX_JOB_BYTES = 1
    store = Path(folder) / "store"
    for share in SHARES:
        _mount(folder, f"size={int(share * int(whole_bytes))}")
        found = {
            "share": share,
            "ingest": _error(lambda: ingest([source], store, IngestOptions(min_frames=1, workers=1))),
        }
        check_left(store, 0)
        found["held"] = Store(store).manifest.replays if (store / MANIFEST_NAME).exists() else 0
        _mount(folder, f"remount,size={4 * int(whole_bytes)}")
        found["digest"] = ingest([source], store, IngestOptions(min_frames=1, workers=1)).digest
        used = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        _mount(folder, f"remount,size={used + 2**16}")
        found["encode"] = _error(lambda: encode_windows(store))
        check_left(store, len(list(Path(source).iterdir())))
        _mount(folder, f"remount,size={4 * int(whole_bytes)}")
        encode_windows(store)
        check_sound(store, quick=False)
        subprocess.run(["umount", folder], check=True)
        print(json.dumps(found), flush=True)  # noqa: T201


def _mount(folder: str, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "exphil", folder], check=True)


def _error(work: object) -> str | None:
    assert callable(work)
    try:
        work()
    except ExphilError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

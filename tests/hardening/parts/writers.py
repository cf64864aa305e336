"""Two that write to one store at once, and readers while somebody writes: each sees a whole store, or is told to wait."""

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from dataset.errors import BusyError, ExphilError
from dataset.store.store import Store
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.shell import run
from tests.hardening.work import INGEST, VERBS, command_process, ended

WRITERS = (
    *(INGEST, INGEST, f"{INGEST} --rebuild", INGEST.replace("source", "half")),
    *("encode --store store --codec joint", "encode --store store --codec axis17", "encode --store store --quality"),
)


class Writers(Part):
    """Two commands on one store, and a reader beside them."""

    name = "writers"
    limit_s = 600.0
    most_edits = 0
    must_fit = False

    def prepare(self) -> None:
        """Nothing is known yet."""
        self._whole = ""

    def attempt(self, cases: Sequence[Case]) -> None:
        """Run two at once, read meanwhile, then finish."""
        for case in cases:
            dice = random.Random(case.seed)
            work = self._begun(dice)
            first = (
                "encode --store store --codec axis17" if (work / "store").exists() and dice.random() < 0.3 else INGEST
            )
            processes = [command_process(words.split(), work) for words in (first, dice.choice(WRITERS))]
            for process in processes:
                process.start()
            while any(process.is_alive() for process in processes):
                self._read(work / "store")
                time.sleep(0.005)
            for process in processes:
                ended(process, 60)
                self.tally[f"writer exit {process.exitcode}"] += 1
                if process.exitcode not in (0, 1, 2):
                    raise WrongError("exit", f"a writer beside another ends with {process.exitcode}")
            run(*INGEST.split(), cwd=work, codes=(0,))
            run("encode", "--store", "store", "--codec", "axis17", cwd=work, codes=(0,))
            found = VERBS["ingest"].outcome(work)
            self._whole = self._whole or self._alone()
            if found != self._whole:
                raise WrongError("loss", f"two writers end as {found}, one as {self._whole}")

    def _begun(self, dice: random.Random) -> Path:
        work = self.scratch / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        VERBS[dice.choice(("ingest", "ingest more", "encode"))].begin(work, self.scratch.parent)
        half = work / "half"
        half.mkdir(exist_ok=True)
        for path in sorted((work / "source").iterdir())[3:9]:
            shutil.copyfile(path, half / path.name)
        return work

    def _alone(self) -> str:
        work = self.scratch / "alone"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        VERBS["ingest"].begin(work, self.scratch.parent)
        run(*INGEST.split(), cwd=work, codes=(0,))
        return VERBS["ingest"].outcome(work)

    def _read(self, folder: Path) -> None:
        """Read all of the store as it is now."""
        try:
            store = Store(folder)
            rows = store.replays().collect().filter(status="ok")
            frames = sum(sample.num_frames for sample in store.samples("all"))
        except BusyError:
            self.tally["read busy"] += 1
        except ExphilError as error:
            self.tally[f"read {type(error).__name__}"] += 1
        except FileNotFoundError:
            if (folder / "manifest.json").exists():
                raise
            self.tally["read before there was a store"] += 1
        else:
            self.tally["read"] += 1
            if rows.height != store.manifest.replays or frames != store.manifest.frames:
                raise WrongError(
                    "loss", f"a reader saw {rows.height} of {store.manifest.replays} games, {frames} frames"
                )

"""Every byte of a small store, with one of its bits turned: no command may take the store for a sound one.

A case is the number of a byte. The manifest's go through ``exphil verify``, those of all other files through what checks them
before they are used.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from dataset.errors import ExphilError
from dataset.store.location import frame_shard_path
from dataset.store.manifest import MANIFEST_NAME, Manifest
from dataset.store.replay_table import replays_path
from dataset.store.store import Store
from dataset.verify.verify import verify
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.shell import fresh, small_store


class Flips(Part):
    """One bit of each byte, or another one where the numbers go round."""

    name = "flips"
    most_edits = 0
    batch = 50

    def prepare(self) -> None:
        """Make the store, and list its bytes."""
        self.store = fresh(small_store(self.scratch.parent / "tiny-store", games=1, frames=160), self.scratch / "store")
        manifest = Manifest.load(self.store)
        self.files = [MANIFEST_NAME, "replays.parquet", *(shard.path for shard in manifest.shards)]
        self.bytes = {name: (self.store / name).read_bytes() for name in self.files}
        self.total = sum(map(len, self.bytes.values()))
        self.whole = manifest
        verdict = verify(self.store)
        self.expected = {check.name for check in verdict.checks if not check.ok}

    def draw(self, number: int) -> Case:
        """The byte of that number."""
        return Case(number)

    def place(self, case: Case) -> tuple[str, int, int]:
        """File, byte and bit."""
        at = case.seed % self.total
        for name, data in self.bytes.items():
            if at < len(data):
                return name, at, (random.Random(at).randrange(8) + case.seed // self.total) % 8
            at -= len(data)
        raise AssertionError

    def attempt(self, cases: Sequence[Case]) -> None:
        """Turn a bit, look, and turn it back."""
        for case in cases:
            name, at, bit = self.place(case)
            path, data = self.store / name, bytearray(self.bytes[name])
            data[at] ^= 1 << bit
            path.write_bytes(data)
            try:
                is_noticed = self._is_noticed(name)
            finally:
                path.write_bytes(self.bytes[name])
            self.tally[f"{Path(name).suffix} {'noticed' if is_noticed else 'missed'}"] += 1
            if not is_noticed:
                raise WrongError("accepted", f"{name}: a turned bit goes unnoticed")

    def _is_noticed(self, name: str) -> bool:
        try:
            if name == MANIFEST_NAME:
                found = {check.name for check in verify(self.store).checks if not check.ok}
                return found != self.expected
            if name == "replays.parquet":
                replays_path(self.store, self.whole)
            shards = [shard for shard in self.whole.shards if shard.path == name]
            for shard in shards:
                if shard.kind == "frames":
                    frame_shard_path(self.store, shard)
                else:
                    Store(self.store).shard_bytes(shard)
        except ExphilError:
            return True
        return False

    def write(self, case: Case, folder: Path) -> str:
        """The store with that bit turned."""
        name, at, bit = self.place(case)
        store = fresh(self.store, folder / "store")
        data = bytearray(self.bytes[name])
        data[at] ^= 1 << bit
        (store / name).write_bytes(data)
        return f"exphil verify --store {store}"

"""What a store writes instead of names: hashes that mean nothing without the store's own secret salt.

In: paths, connect codes, display names. Out: the same name for the same thing within one store, or the plain name where the
user asked to keep names. The surprise: the salt lies in the store as ``salt`` (mode 600) and is in no digest; leave it out
when publishing a store.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from dataset.io.atomic import replacing

SALT_NAME = "salt"


@dataclass(frozen=True)
class Names:
    """How one store writes names."""

    salt: bytes
    is_kept: bool
    """Whether names are written as they are."""

    def of(self, name: str | None) -> str | None:
        """What to write for ``name``."""
        if name is None:
            return None
        if self.is_kept:  # a name in another encoding is not Unicode, as which Parquet takes strings
            return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self.salt, digest_size=12).hexdigest()


def store_salt(folder: Path) -> bytes:
    """The salt of a store, drawn and written on first use."""
    path = folder / SALT_NAME
    if not path.exists():
        with replacing(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
    return path.read_bytes()

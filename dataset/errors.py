"""The exceptions a user can meet; each message says what, the rule, what was found, and the next step.

ExphilError
├── ReplayError      a replay cannot be read; carries a short reason for the tally of rejects
├── SchemaError      data on disk does not have the shape this exphil reads
│   └── ShardError   one file of a store cannot be had, or is not the one the manifest lists
├── ConfigError      settings contradict each other or cannot take effect
├── BusyError        another process holds what one at a time may
├── CheckpointError  a run folder or checkpoint is missing, damaged or made for other data
└── DolphinError     the emulator, its pipes or the spectator stream failed
"""

from collections.abc import Iterable


class ExphilError(Exception):
    """Base of every error that is the user's to solve; the command line prints it without a traceback."""


class ReplayError(ExphilError):
    """A replay cannot be read. ``reason`` is a short stable slug that tallies count by."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SchemaError(ExphilError):
    """Stored data does not have the shape, version or content this exphil reads."""


class ShardError(SchemaError):
    """A file of a store cannot be had, or is not the one its manifest lists."""


class ConfigError(ExphilError):
    """A setting is unknown, out of range, or contradicts another."""


class BusyError(ExphilError):
    """Another process holds what one process at a time may have; later it may be free."""


class CheckpointError(ExphilError):
    """A checkpoint is missing, damaged, or belongs to another schema, codec or encoder."""


class DolphinError(ExphilError):
    """Dolphin, its controller pipes, or the spectator stream failed."""


def require_known(kind: str, name: str, known: Iterable[str]) -> str:
    """``name`` itself; a ConfigError that lists the ``known`` ones if it is none of them.

    Args:
        kind: what ``name`` names, as the user gave it: ``codec`` or ``--preset``.
        name: what was given.
        known: every valid name, in the order in which to list them.
    """
    names = list(known)
    if name not in names:
        raise ConfigError(f"{kind} '{name}': unknown; use one of {', '.join(names)}")
    return name

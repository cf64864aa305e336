"""What makes the process that reads a certain replay hang."""

import signal
import time
from dataclasses import dataclass

from ingest.replay.judge import Names


@dataclass(frozen=True)
class HangingNames(Names):
    """Holds the process that parses a replay of the named player, as an endless loop in the parser would."""

    victim: str = ""

    def of(self, name: str | None) -> str | None:
        if name == self.victim:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            time.sleep(600)
        return name

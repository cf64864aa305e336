"""The processes that ``torchrun`` starts to train one policy together: one GPU each (NCCL), or CPUs (gloo). And their end.

Ranks share one plan of batches and take its rows in turn (``dataset.stream``), so a run gives the same result, within
rounding, on any number of them. The policy is not wrapped: its gradients are summed in one transfer after ``backward``.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

import torch
import torch.distributed as dist
from torch import Tensor

from dataset.errors import ConfigError
from train.policy.backbones.base import State, map_state

TIMEOUT = timedelta(hours=1)
"""How long ranks wait for each other; the others wait while the first validates."""

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """Which of the processes this is; alone, every method gives back what it is given."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that validates, writes and reports."""
        return self.rank == 0

    def total(self, count: int) -> int:
        """The sum of all ranks' counts."""
        if self.size == 1:
            return count
        counts = torch.tensor(count)
        dist.all_reduce(counts)
        return int(counts)

    def any(self, flag: bool) -> bool:
        """Whether any rank says so."""
        return self.total(int(flag)) > 0

    def of_first(self, value: float) -> float:
        """The first rank's value."""
        if self.size == 1:
            return value
        values = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(values, src=0)
        return float(values)

    def wait(self) -> None:
        """Until all ranks have come here."""
        self.total(0)

    def add_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Sum the gradients of ``parameters`` over the ranks, in place; returns the sum of their losses."""
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        summed = torch.cat([*(gradient.reshape(-1) for gradient in gradients), loss.reshape(1)])
        dist.all_reduce(summed)
        parts = torch.split(summed[:-1], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return summed[-1]

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Every rank's tensor of one shape, on the CPU."""
        ours = tensor.cpu().contiguous()
        if self.size == 1:
            return [ours]
        gathered = [torch.empty_like(ours) for _ in range(self.size)]
        dist.all_gather(gathered, ours)
        return gathered

    def gather_rows(self, state: State, rows: int) -> State:
        """The state of all ``rows`` rows of a batch, of which this rank carries each ``size``-th."""
        return map_state(lambda leaf: torch.stack(self.gather(leaf), dim=1).flatten(0, 1)[:rows], state)

    def own_rows(self, state: State, initial: State) -> State:
        """The rows of a gathered state that are this rank's; rows that nobody has are ``initial``'s."""

        def take(leaf: Tensor, fresh: Tensor) -> Tensor:
            own = leaf[self.rank :: self.size].to(fresh.device)
            return torch.cat([own, fresh[len(own) :]])

        return map_state(take, state, initial)


def num_ranks() -> int:
    """How many processes were started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_rank() -> bool:
    """Whether this process speaks for all that were started together."""
    return num_ranks() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """The place of this process among the ranks and its own device; waits for all of them at the start.

    Raises:
        ConfigError: the environment is not torchrun's, or a rank has no GPU of its own.
    """
    if num_ranks() == 1:
        yield Ranks(), device
        return
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE {num_ranks()}: ranks are started by torchrun, which sets {', '.join(VARIABLES)}, found no "
            f"{', '.join(missing)}; start with torchrun, or unset WORLD_SIZE"
        )
    own = _own_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo", timeout=TIMEOUT)
    yield Ranks(dist.get_rank(), dist.get_world_size()), own
    dist.destroy_process_group()  # not after an error: the others may never come, and see this process end


def _own_device(device: torch.device) -> torch.device:
    if device.type != "cuda":
        return device
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"--device cuda: every rank of a machine needs a GPU of its own, found {count} for rank {number}; "
            f"start torchrun with --nproc_per_node {count}, or use --device cpu"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM or Ctrl-C has arrived; a second one acts as it does by default."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

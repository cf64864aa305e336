"""How many frames a second the state-space backbone trains on, against Mamba-1 in plain PyTorch and in ``mambapy``.

Measured is the CPU time of one thread for a forward and backward pass over windows in which every frame is supervised, two
blocks of one width, side by side in every round:

- mamba: the backbone of ``train/policy/backbones/mamba.py`` (Mamba-2; a window is a few matrix products).
- naive Mamba-1: the recurrence of Gu & Dao 2023 (arXiv:2312.00752) as it is usually written down: all frames' decays and
  inputs are laid out [B, T, E, N] first, then walked one frame after the other.
- frugal Mamba-1: the same recurrence, but a frame's decay and input are made when it is reached; they stay in the cache.
- mambapy: the parallel scan of the package of that name, where it is installed (``pip install mambapy``).

They are not one model: Mamba-2 shares a decay within a head and keeps 64 numbers a channel where Mamba-1 keeps 16. What a
step of every backbone costs in play, against its floor, is measured by ``benchmarks/play.py``.

    python -m benchmarks.backbones [--rows 16] [--window 60] [--width 256] [--rounds 5]
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
from importlib.util import find_spec

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.fit.train_run import origin
from train.policy.backbones.base import RMSNorm
from train.policy.backbones.mamba import Mamba
from train.policy.config import Shape

NUM_BLOCKS, STATE_SIZE, CONV_WIDTH = 2, 16, 4


class Mamba1(nn.Module):
    """One residual Mamba-1 block, frame after frame.

    B rows, T frames, D width, E = 2D inner width, N state size, R rank of the step size
    """

    def __init__(self, width: int, *, is_frugal: bool) -> None:
        super().__init__()
        self.is_frugal = is_frugal
        self.inner, self.rank = 2 * width, math.ceil(width / 16)
        self.norm = RMSNorm(width)
        self.in_proj = nn.Linear(width, 2 * self.inner, bias=False)
        self.conv = nn.Conv1d(self.inner, self.inner, CONV_WIDTH, groups=self.inner, padding=CONV_WIDTH - 1)
        self.x_proj = nn.Linear(self.inner, self.rank + 2 * STATE_SIZE, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        self.log_rate = nn.Parameter(torch.log(torch.arange(1.0, STATE_SIZE + 1)).repeat(self.inner, 1))
        self.skip = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, width, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        x, z = self.in_proj(self.norm(u)).chunk(2, dim=-1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : u.shape[1]].transpose(1, 2))
        dt, B_, C_ = self.x_proj(x).split([self.rank, STATE_SIZE, STATE_SIZE], dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        scan = frugal_scan if self.is_frugal else naive_scan
        y = scan(x, dt, -torch.exp(self.log_rate), B_, C_) + self.skip * x
        return u + self.out_proj(y * F.silu(z))


def naive_scan(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor) -> Tensor:
    """Outputs [B, T, E] of x and dt [B, T, E], A [E, N], B_ and C_ [B, T, N]."""
    decay = torch.exp(dt[..., None] * A)
    taken = (dt * x)[..., None] * B_[:, :, None, :]
    h = torch.zeros_like(taken[:, 0])
    outputs: list[Tensor] = []
    for t in range(x.shape[1]):
        h = decay[:, t] * h + taken[:, t]
        outputs.append((h * C_[:, t, None, :]).sum(dim=-1))
    return torch.stack(outputs, dim=1)


def frugal_scan(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor) -> Tensor:
    """The same."""
    h = x.new_zeros(len(x), *A.shape)
    outputs: list[Tensor] = []
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * x[:, t])[..., None] * B_[:, t, None, :]
        outputs.append((h * C_[:, t, None, :]).sum(dim=-1))
    return torch.stack(outputs, dim=1)


class Ours(nn.Module):
    """The backbone, from its initial state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = Mamba(Shape(hidden_sizes=(width,) * NUM_BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        return self.backbone(x, self.backbone.initial_state(len(x)))[0]


def candidates(width: int) -> dict[str, nn.Module]:
    """What is compared, by name."""
    found: dict[str, nn.Module] = {
        "mamba": Ours(width),
        "naive Mamba-1": nn.Sequential(*(Mamba1(width, is_frugal=False) for _ in range(NUM_BLOCKS))),
        "frugal Mamba-1": nn.Sequential(*(Mamba1(width, is_frugal=True) for _ in range(NUM_BLOCKS))),
    }
    if find_spec("mambapy"):
        from mambapy.mamba import Mamba as Peer
        from mambapy.mamba import MambaConfig

        found["mambapy"] = Peer(MambaConfig(d_model=width, n_layers=NUM_BLOCKS, d_state=STATE_SIZE))
    return found


def pass_seconds(model: nn.Module, x: Tensor) -> float:
    """CPU time of a forward and a backward pass."""
    model.zero_grad(set_to_none=True)
    began = time.process_time()
    model(x).square().mean().backward()
    return time.process_time() - began


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models = candidates(given.width)
    x = torch.randn(given.rows, given.window, given.width)
    taken: dict[str, list[float]] = {name: [] for name in models}
    for number in range(1 + given.rounds):
        for name, model in models.items():
            seconds = pass_seconds(model, x)
            if number > 0:  # the first is warm-up
                taken[name].append(seconds)
    ours = statistics.median(taken["mamba"])
    rows = [
        {
            "name": name,
            "frames_per_second": given.rows * given.window / statistics.median(seconds),
            "times_slower_than_mamba": statistics.median(seconds) / ours,
            "parameters": sum(p.numel() for p in models[name].parameters()),
        }
        for name, seconds in taken.items()
    ]
    for row in rows:
        print(
            f"{row['name']:<15}{row['frames_per_second']:>9,.0f} frames/s{row['times_slower_than_mamba']:>8.2f} x"
            f"{row['parameters']:>12,} parameters"
        )
    said = {"machine": platform.processor() or platform.machine(), "rows_in_batch": given.rows, "window": given.window}
    print(json.dumps(said | {"width": given.width, "rounds": given.rounds, "rows": rows} | origin()))


if __name__ == "__main__":
    main()

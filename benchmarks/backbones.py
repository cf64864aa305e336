"""Training speed of the state-space backbone, against Mamba-1 in plain PyTorch and in ``mambapy``.

The benchmark measures CPU time of one thread for a forward and backward pass over windows in which every frame is
supervised, with two blocks of one width. All models run side by side in every round:

- mamba: the backbone of ``train/policy/backbones/mamba.py`` (Mamba-2; a window takes a few matrix products).
- naive Mamba-1: the recurrence of Gu & Dao 2023 (arXiv:2312.00752) as it is usually written. It first lays out the
  decays and inputs of all frames as [B, T, E, N], then walks them frame by frame.
- lean Mamba-1: the same recurrence, but each frame's decay and input are made when the frame is reached, so they stay
  in the cache.
- mambapy: the parallel scan of the package of that name, if it is installed (``pip install mambapy``).

The two are not the same model: Mamba-2 shares a decay within a head and keeps 64 numbers per channel where Mamba-1 keeps 16.
``benchmarks/play.py`` measures what a step of every backbone takes in play, against its floor.

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
from train.policy.backbones.base import LayerNorm
from train.policy.backbones.mamba import Mamba
from train.policy.config import Shape

NUM_BLOCKS, STATE_SIZE, CONV_WIDTH = 2, 16, 4


class Mamba1(nn.Module):
    """One residual Mamba-1 block that walks its window frame by frame.

    B rows, T frames, D width, E = 2D inner width, N state size, R rank of the step size
    """

    def __init__(self, width: int, *, is_lean: bool) -> None:
        super().__init__()
        self.is_lean = is_lean
        self.inner, self.rank = 2 * width, math.ceil(width / 16)
        self.norm = LayerNorm(width)
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
        scan = lean_scan if self.is_lean else naive_scan
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


def lean_scan(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor) -> Tensor:
    """The same outputs, with a frame's decay and input made only when the frame is reached."""
    h = x.new_zeros(len(x), *A.shape)
    outputs: list[Tensor] = []
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * x[:, t])[..., None] * B_[:, t, None, :]
        outputs.append((h * C_[:, t, None, :]).sum(dim=-1))
    return torch.stack(outputs, dim=1)


class Ours(nn.Module):
    """exphil's backbone, started from its initial state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = Mamba(Shape(hidden_sizes=(width,) * NUM_BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        return self.backbone(x, self.backbone.initial_state(len(x)))[0]


def candidates(width: int) -> dict[str, nn.Module]:
    """The compared models, by name."""
    found: dict[str, nn.Module] = {
        "mamba": Ours(width),
        "naive Mamba-1": nn.Sequential(*(Mamba1(width, is_lean=False) for _ in range(NUM_BLOCKS))),
        "lean Mamba-1": nn.Sequential(*(Mamba1(width, is_lean=True) for _ in range(NUM_BLOCKS))),
    }
    if find_spec("mambapy"):
        from mambapy.mamba import Mamba as Peer
        from mambapy.mamba import MambaConfig

        found["mambapy"] = Peer(MambaConfig(d_model=width, n_layers=NUM_BLOCKS, d_state=STATE_SIZE))
    return found


def pass_seconds(model: nn.Module, x: Tensor) -> float:
    """CPU time of one forward and backward pass."""
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
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models = candidates(options.width)
    x = torch.randn(options.rows, options.window, options.width)
    taken: dict[str, list[float]] = {name: [] for name in models}
    for number in range(1 + options.rounds):
        for name, model in models.items():
            seconds = pass_seconds(model, x)
            if number > 0:  # the first round warms up
                taken[name].append(seconds)
    ours = statistics.median(taken["mamba"])
    rows = [
        {
            "name": name,
            "frames_per_second": options.rows * options.window / statistics.median(seconds),
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
    about = {
        "machine": platform.processor() or platform.machine(),
        "rows_in_batch": options.rows,
        "window": options.window,
    }
    print(json.dumps(about | {"width": options.width, "rounds": options.rounds, "rows": rows} | origin()))


if __name__ == "__main__":
    main()

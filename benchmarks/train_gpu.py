"""What a training step takes on a GPU: every backbone, eager and compiled, in float32 and bfloat16.

The benchmark measures whole steps as the loop takes them (inputs, backbone, head, loss, backward, clipping, fused
AdamW, with the state carried over). The frames are random and already on the device, so the loader plays no part; for a
real run, ``loader_share`` in ``metrics.jsonl`` gives its share.

The figures are the median ms per step, supervised frames per second, peak memory, and the TFLOP/s of the products with
weights: 6 operations per weight and frame (Kaplan et al. 2020, arXiv:2001.08361, without their attention term). The
work of attention and of the state-space mixing is therefore not counted.

    python -m benchmarks.train_gpu [--backbones gru,mamba] [--rows 128] [--window 64] [--hidden-sizes 256,256]
    python -m benchmarks.train_gpu --device cpu --steps 2 --rows 4     # checks that it runs, without a GPU
"""

import argparse
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from dataset.codecs.registry import get_codec
from dataset.features.layout import FEATURES, INDICES
from train.config.run_config import LossConfig, OptimConfig
from train.data.batches import Tensors
from train.fit.optim import build_optimizer, training_loss
from train.fit.train_run import origin
from train.policy.backbones.base import State, map_state
from train.policy.components import Components
from train.policy.config import BACKBONES, PolicyConfig, looks_back
from train.policy.policy import Policy

WARM_UP = 5


def random_batch(rows: int, window: int, device: torch.device) -> Tensors:
    """Random frames in the types that the loader sends."""
    sizes = [size for _, size in get_codec("axis17").components]

    def ids(bounds: list[int], kind: torch.dtype) -> Tensor:
        return torch.stack([torch.randint(0, n, (rows, window)) for n in bounds], dim=-1).to(kind).to(device)

    return Tensors(
        continuous=torch.randn(rows, window, len(FEATURES)).half().to(device),
        indices=ids([size for _, size in INDICES], torch.int16),
        previous=ids(sizes, torch.uint8),
        delay=torch.zeros(rows, dtype=torch.int64, device=device),
        target=ids(sizes, torch.uint8),
        mask=torch.ones(rows, window, dtype=torch.bool, device=device),
        reset=torch.zeros(rows, dtype=torch.bool, device=device),
        num_frames=rows * window,
    )


def training_step(policy: Policy, is_compiled: bool, precision: str, batch: Tensors) -> Callable[[], None]:
    """A function that takes one optimizer step on ``batch`` and carries the state from call to call."""
    optimizer = build_optimizer(policy, OptimConfig())
    forward: Callable[..., tuple[Tensor, State]] = torch.compile(policy) if is_compiled else policy
    components, config = Components.of(policy.codec), LossConfig()
    device = batch.mask.device.type
    state = policy.initial_state(len(batch.reset))

    def step() -> None:
        nonlocal state
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            logits, after = forward(
                batch.continuous, batch.indices, batch.previous, batch.delay, batch.target, state, batch.reset
            )
        state = map_state(lambda leaf, before: leaf.detach().to(before.dtype), after, state)
        training_loss(logits, batch.target, batch.mask, components, config).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

    return step


def median_seconds(step: Callable[[], None], steps: int, is_cuda: bool) -> float:
    """Median seconds of one step; each step is waited for."""
    taken: list[float] = []
    for _ in range((WARM_UP if is_cuda else 1) + steps):
        began = time.perf_counter()
        step()
        if is_cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[-steps:])


def measure(
    backbone: str, sizes: tuple[int, ...], mode: str, precision: str, batch: Tensors, steps: int
) -> dict[str, Any]:
    """Measure one row of the table."""
    device, window = batch.mask.device, batch.mask.shape[1]
    is_cuda = device.type == "cuda"
    lookback = window if looks_back(backbone) else None
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(backbone=backbone, hidden_sizes=sizes, lookback=lookback)).to(device)
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = median_seconds(training_step(policy, mode == "compile", precision, batch), steps, is_cuda)
    tables = {id(module.weight) for module in policy.modules() if isinstance(module, nn.Embedding)}
    weights = sum(p.numel() for p in policy.parameters() if p.ndim >= 2 and id(p) not in tables)
    row = {
        "backbone": backbone,
        "mode": mode,
        "precision": precision,
        "ms_per_step": seconds * 1e3,
        "frames_per_second": batch.num_frames / seconds,
        "tflops": 6 * weights * batch.num_frames / seconds / 1e12,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if is_cuda else None,
    }
    del policy
    gc.collect()
    torch._dynamo.reset()
    return row


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    memory = "-" if row["peak_mib"] is None else f"{row['peak_mib']:.0f} MiB"
    print(
        f"{row['backbone']:<15}{row['mode']:<9}{row['precision']:<6}{row['ms_per_step']:>9.2f} ms"
        f"{row['frames_per_second']:>13,.0f} frames/s{row['tflops']:>8.2f} TFLOP/s  {memory}",
        flush=True,
    )


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--hidden-sizes", default="256,256")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--modes", help="eager, compile or both; default: both on a GPU, eager on a CPU")
    parser.add_argument("--precisions", default="fp32,bf16")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing measured")
        return
    device = torch.device(options.device)
    torch.set_float32_matmul_precision("highest")
    modes = options.modes or ("eager,compile" if device.type == "cuda" else "eager")
    sizes = tuple(int(size) for size in options.hidden_sizes.split(","))
    batch = random_batch(options.rows, options.window, device)
    rows: list[dict[str, Any]] = []
    for backbone, mode, precision in product(
        options.backbones.split(","), modes.split(","), options.precisions.split(",")
    ):
        rows.append(measure(backbone, sizes, mode, precision, batch, options.steps))
        show(rows[-1])
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    about = {"device": name, "rows_in_batch": options.rows, "window": options.window, "hidden_sizes": sizes}
    print(json.dumps(about | {"rows": rows} | origin()))


if __name__ == "__main__":
    main()

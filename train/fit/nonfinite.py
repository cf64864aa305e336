"""When a loss is not a finite number: keep the batches of that step and say whether it was they.

The surprise: weights are not looked at, since by then the very step that is reported has spoilt them. Those in the run folder
are from before.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from dataset.errors import ExphilError
from dataset.features.layout import FEATURES
from train.data.batches import Tensors
from train.runs.checkpoint import save_state

BATCH_FILE = "bad-batch.pt"


def stop_at(step: int, loss: float, batches: Sequence[Tensors], run: Path, rank: int = 0) -> ExphilError:
    """The error that ends a run at ``step``, from 1; the batches of this rank lie in ``BATCH_FILE`` by then."""
    path = run / (BATCH_FILE if rank == 0 else f"rank-{rank}-{BATCH_FILE}")
    save_state({"step": step, "loss": loss, "batches": [_on_cpu(batch) for batch in batches]}, path)
    return ExphilError(
        f"step {step}: the loss must be finite, found {loss} and {_cause(batches)}; its batches are kept in "
        f"{path}; lower --lr, keep --max-grad-norm above 0, or run 'exphil verify' on the store"
    )


def _on_cpu(batch: Tensors) -> dict[str, torch.Tensor | int]:
    return {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in asdict(batch).items()}


def _cause(batches: Sequence[Tensors]) -> str:
    columns = sorted(
        {
            int(column)
            for batch in batches
            for column in torch.nonzero(~torch.isfinite(batch.continuous).flatten(0, 1).all(dim=0)).flatten()
        }
    )
    if columns:
        return f"non-finite features {', '.join(FEATURES[column].name for column in columns)}"
    return "finite features, so the policy has overflowed"

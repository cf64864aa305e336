"""Run folders: what is written there, how it is written so that a kill at any instant leaves it readable, and loading it.

``config.json`` holds everything that rebuilds the policy and says what it was trained on; ``best.safetensors`` and
``last.safetensors`` hold weights only; ``last.state.pt`` holds what resuming needs and is read with ``weights_only=True``,
so nothing is ever unpickled. A run argument is a run folder, a name under ``runs/``, or a ``.safetensors`` file in a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError
from dataset.features.layout import encoder_digest
from dataset.io.atomic import replacing
from dataset.schema import SCHEMA_VERSION
from train.config.run_config import RunConfig, from_json, to_json
from train.policy.policy import Policy
from train.run_folder import find_run, load_record

WEIGHTS = ("best", "last")


@dataclass(frozen=True, kw_only=True)
class LoadedPolicy:
    """A policy ready to play or to be measured."""

    policy: Policy
    """In eval mode, on the CPU."""
    config: RunConfig
    codec: Codec
    contract: str
    """How the policy expects context; see ``RunConfig.contract``."""
    delay: int
    """Frames between seeing and acting that it was trained for."""
    record: Mapping[str, Any]
    """The whole ``config.json``."""
    run: Path
    """The run folder."""


def save_weights(policy: Policy, path: Path) -> None:
    """Write the policy's weights as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))


def run_record(config: RunConfig, **facts: Any) -> dict[str, Any]:
    """What ``config.json`` says: the config, the digests of all that gives the weights their meaning, and ``facts``."""
    codec = get_codec(config.policy.codec)
    return {
        "schema_version": SCHEMA_VERSION,
        "encoder_digest": encoder_digest(config.policy.features),
        "codec": codec.name,
        "codec_digest": codec.digest,
        "contract": config.contract,
        "config": to_json(config),
        **facts,
    }


def load_policy(run: Path | str, weights: str = "best") -> LoadedPolicy:
    """The policy of a run argument, in eval mode on the CPU.

    Args:
        run: a run folder, a run name, or a ``.safetensors`` file (which then says which weights).
        weights: ``best`` (by val NLL) or ``last``.

    Raises:
        CheckpointError: there is no such run, it is damaged, or it belongs to another schema, codec or encoder.
    """
    if weights not in WEIGHTS:
        raise CheckpointError(f"weights '{weights}': a run keeps {' and '.join(WEIGHTS)}; use one of them")
    folder, path = find_run(run, weights)
    record = load_record(folder)
    config = from_json(RunConfig, record["config"])
    policy = Policy(config.policy)
    load_weights(policy, path)
    return LoadedPolicy(
        policy=policy.eval(),
        config=config,
        codec=get_codec(config.policy.codec),
        contract=record["contract"],
        delay=config.data.delay,
        record=record,
        run=folder,
    )


def load_weights(policy: Policy, path: Path) -> None:
    """Read a safetensors file into a policy built from the same config."""
    if not path.is_file():
        raise CheckpointError(f"{path}: weights are needed, found no such file; the run may not have finished an epoch")
    try:
        policy.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: must hold the weights that config.json describes, found {error}; copy the run folder again"
        ) from error


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write what resuming needs: tensors, numbers and strings in dicts, lists and tuples, nothing else."""
    with replacing(path) as temporary:
        torch.save(dict(state), temporary)


def load_state(path: Path) -> dict[str, Any]:
    """What ``save_state`` wrote; refuses anything but plain values and tensors."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: --resume continues from it, found no such file; copy the whole run folder, or train a new run"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path}: must be a saved training state, found {error}; train again") from error
    return state

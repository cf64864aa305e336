"""Checkpoints: what a run folder holds of a policy, saving and loading it, and beginning a run with another's weights.

``config.json`` holds everything that rebuilds the policy and says what it was trained on; ``best.safetensors`` and
``last.safetensors`` hold weights only; ``last.state.pt`` holds what resuming needs and is read with ``weights_only=True``,
so nothing is ever unpickled. All are written so that a kill at any instant leaves the folder readable.

A run that begins from another's weights (``--init-from``) counts the replays that run trained on as seen: it neither chooses its
weights by them nor is measured on them.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from dataset.codecs.base import Codec
from dataset.errors import CheckpointError, ConfigError
from dataset.features.layout import encoder_digest
from dataset.io.atomic import replacing
from dataset.io.runs import find_run
from dataset.schema import SCHEMA_VERSION
from train.config.run_config import RunConfig, from_json, to_json
from train.policy.components import Components, Persistence
from train.policy.config import BACKBONES, PolicyConfig
from train.policy.policy import Policy
from train.runs.run_folder import load_record, reading
from train.settings import shown

FREE = frozenset({"dropout", "prev_dropout", "lookback"})
"""Fields of the policy that no weight depends on, but that a gated backbone has one for every frame of ``lookback``."""


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

    @property
    def persistence(self) -> Persistence:
        """The copycat of the run's training data.

        Raises:
            CheckpointError: ``config.json`` holds none for its codec.
        """
        with reading(self.run / "config.json"):
            return Persistence.from_json(self.record["persistence"], Components.of(self.codec).sizes)


def save_weights(policy: Policy, path: Path) -> None:
    """Write the policy's weights as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))


def run_record(config: RunConfig, **facts: Any) -> dict[str, Any]:
    """What ``config.json`` says: the config, the digests of all that gives the weights their meaning, and ``facts``."""
    codec = config.policy.controller_codec
    return {
        "schema_version": SCHEMA_VERSION,
        "encoder_digest": encoder_digest(config.policy.features),
        "codec": codec.name,
        "codec_digest": codec.digest,
        "contract": config.contract,
        "config": to_json(config),
        **facts,
    }


def load_policy(run: Path | str) -> LoadedPolicy:
    """The policy of a run argument, in eval mode on the CPU, with its best weights unless the argument is a weights file.

    Raises:
        CheckpointError: there is no such run, it is damaged, or it belongs to another schema, codec or encoder.
    """
    folder, path = find_run(run)
    record = load_record(folder)
    config = from_json(RunConfig, record["config"])
    _require_fitting(config.policy, path)
    policy = Policy(config.policy)
    load_weights(policy, path)
    return LoadedPolicy(
        policy=policy.eval(),
        config=config,
        codec=config.policy.controller_codec,
        contract=record["contract"],
        delay=config.data.delay,
        record=record,
        run=folder,
    )


def load_weights(policy: Policy, path: Path) -> None:
    """Read a safetensors file into a policy built from the same config."""
    try:
        policy.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise _unfit(path, error) from error
    endless = [name for name, tensor in policy.state_dict().items() if not tensor.isfinite().all()]
    if endless:
        raise CheckpointError(
            f"{path}: weights must be finite, found NaN or infinity in {endless[0]}; play another checkpoint, or train again"
        )


def _require_fitting(config: PolicyConfig, path: Path) -> None:
    """Compare the shapes that a config describes with those of a file of weights, before anything of that size is made."""
    if not path.is_file():
        raise CheckpointError(f"{path}: weights are needed, found no such file; the run may not have finished an epoch")
    try:
        with safe_open(path, "pt") as file:
            found = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if len(config.hidden_sizes) > len(found):
            raise ValueError(f"{len(found)} tensors for {len(config.hidden_sizes)} layers")
        with torch.device("meta"):
            wanted = {name: list(tensor.shape) for name, tensor in Policy(config).state_dict().items()}
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise _unfit(path, error) from error
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise _unfit(path, f"{name} {found.get(name, 'missing')} for {wanted.get(name, 'none')}")


def _unfit(path: Path, found: object) -> CheckpointError:
    words = str(found)[:300]
    return CheckpointError(
        f"{path}: must hold the weights that config.json describes, found {words}; copy the run folder again"
    )


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write what resuming needs: tensors, numbers and strings in dicts, lists and tuples, nothing else."""
    data = io.BytesIO()  # torch's own writer hides what the disk says
    torch.save(dict(state), data)
    with replacing(path) as temporary:
        temporary.write_bytes(data.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """What ``save_state`` wrote; refuses anything but plain values and tensors."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: --resume continues from it, found no such file; copy the whole run folder, or train a new run"
        )
    data = io.BytesIO(path.read_bytes())  # what a damaged file leads to may look like the disk's own error
    try:
        state: dict[str, Any] = torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file leads it to
        raise CheckpointError(
            f"{path}: must be a saved training state, found {type(error).__name__}: {str(error)[:200]}; train again"
        ) from error
    return state


def load_initial(run: Path | str, config: RunConfig) -> LoadedPolicy:
    """The policy of a run (``--init-from``), if its weights fit ``config``.

    Raises:
        CheckpointError: there is no such run, or it belongs to another schema, encoder or codec.
        ConfigError: it is built otherwise; every differing field is named.
    """
    loaded = load_policy(run)
    theirs, ours = to_json(loaded.config.policy), to_json(config.policy)
    free = FREE - {"lookback"} if BACKBONES[config.policy.backbone].is_gated else FREE
    differing = [
        f"{name} {shown(ours[name])} (there {shown(theirs[name])})"
        for name in ours
        if name not in free and shown(ours[name]) != shown(theirs[name])
    ]
    if differing:
        raise ConfigError(
            f"--init-from {run}: the new policy must be built as that run's, found other {', '.join(differing)}; "
            "give the same flags as there"
        )
    return loaded


def inherited(loaded: LoadedPolicy) -> dict[str, Any]:
    """What the new run's ``config.json`` keeps of the run it began from."""
    return {"run": loaded.run.name, "ids": sorted(seen_ids(loaded.record))}


def seen_ids(record: Mapping[str, Any]) -> set[str]:
    """The replays that a run's weights have seen: its own, and those of the runs it began from."""
    with reading(Path("config.json")):
        return set(record["data"]["train"]["ids"]) | set((record.get("init_from") or {"ids": ()})["ids"])


def require_unseen(val: Iterable[str], loaded: LoadedPolicy) -> None:
    """Refuse to choose weights by replays that were trained on."""
    seen = seen_ids(loaded.record) & set(val)
    if seen:
        raise ConfigError(
            f"--init-from {loaded.run.name}: the val replays must be new to it, found {len(seen)} that it trained on; "
            "ingest both stores with the same --split-seed"
        )

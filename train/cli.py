"""``exphil train``, ``eval`` and ``export``: arguments only; what they mean is decided in ``train.config`` and beyond."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from train.callbacks import Callback

StorePath = Annotated[str | None, typer.Option("--store", help="Folder or URL of the store.", metavar="STORE")]
ReplaysPath = Annotated[
    Path | None, typer.Option("--replays", help="Replays to ingest first, into a cached store.", metavar="PATH")
]
TolerateBadShards = Annotated[
    int,
    typer.Option("--tolerate-bad-shards", help="Window shards that may be damaged or missing: skipped and counted."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("train")(train)
    app.command("eval")(evaluate)
    app.command("export")(export)


def train(
    name: Annotated[str, typer.Option("--name", help="Run name: the folder under --runs.")],
    store: StorePath = None,
    replays: ReplaysPath = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders lie.")] = Path("runs"),
    train_character: Annotated[
        str | None, typer.Option("--train-character", help="Whose players to imitate; default: all players.")
    ] = None,
    temporal: Annotated[
        bool | None, typer.Option("--temporal/--no-temporal", help="Insist on a backbone that remembers, or does not.")
    ] = None,
    backbone: Annotated[str, typer.Option("--backbone", help="Sequence model.")] = "gru",
    hidden_sizes: Annotated[str, typer.Option("--hidden-sizes", help="Width of every layer.")] = "256,256",
    num_layers: Annotated[
        int | None, typer.Option("--num-layers", help="Layers; default: as many as --hidden-sizes lists.")
    ] = None,
    num_heads: Annotated[
        int | None, typer.Option("--num-heads", help="Attention heads (sliding_window, jamba); default 4.")
    ] = None,
    attention_every: Annotated[
        int | None,
        typer.Option("--attention-every", help="Attend in every Nth layer; default 1 (sliding_window), 3 (jamba)."),
    ] = None,
    head: Annotated[str, typer.Option("--head", help="autoregressive or independent.")] = "autoregressive",
    dropout: Annotated[float, typer.Option("--dropout", help="Share of units dropped.")] = 0.0,
    prev_dropout: Annotated[
        float, typer.Option("--prev-dropout", help="Share of windows that hide the previous controller.")
    ] = 0.0,
    delay: Annotated[int, typer.Option("--delay", help="Frames between seeing and acting.")] = 0,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Lanes: replays walked at once.")] = 32,
    window_size: Annotated[
        int, typer.Option("--window-size", help="Frames a lane advances in one step; attention sees as many.")
    ] = 64,
    epochs: Annotated[int, typer.Option("--epochs", help="Times each frame is trained on.")] = 10,
    lr: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    lr_schedule: Annotated[str, typer.Option("--lr-schedule", help="constant or cosine.")] = "cosine",
    warmup_steps: Annotated[int, typer.Option("--warmup-steps", help="Steps of linear rise.")] = 0,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="AdamW's, of matrices only.")] = 0.01,
    max_grad_norm: Annotated[float, typer.Option("--max-grad-norm", help="Gradients' largest norm; 0: any.")] = 1.0,
    ema: Annotated[bool, typer.Option("--ema", help="Keep an average of the weights; validate and save it.")] = False,
    ema_decay: Annotated[
        float | None, typer.Option("--ema-decay", help="Share of the average that survives a step; default 0.999.")
    ] = None,
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Stop when the val NLL no longer falls.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Epochs without a better val NLL before stopping; default 5.")
    ] = None,
    label_smoothing: Annotated[
        float, typer.Option("--label-smoothing", help="Share spread over all classes of sticks and trigger.")
    ] = 0.0,
    focal_loss: Annotated[bool, typer.Option("--focal-loss", help="Weigh uncertain decisions more.")] = False,
    focal_gamma: Annotated[
        float | None, typer.Option("--focal-gamma", help="How much more: (1 - p)^gamma; default 2.")
    ] = None,
    button_pos_weight: Annotated[
        float, typer.Option("--button-pos-weight", help="Weight of a pressed button; 1 is neutral.")
    ] = 1.0,
    tolerate_bad_shards: TolerateBadShards = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order and dropout.")] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run of that name.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a policy by imitation, into RUNS/NAME."""
    from dataset.errors import ConfigError
    from train.config import (
        DataConfig,
        LossConfig,
        OptimConfig,
        PolicyConfig,
        RunConfig,
        check_temporal,
        has_attention,
        layer_sizes,
    )
    from train.run import train_run

    check_temporal(temporal, backbone)
    if patience is not None and not early_stopping:
        raise ConfigError(f"--patience {patience}: acts only with early stopping, found none; add --early-stopping")
    if ema_decay is not None and not ema:
        raise ConfigError(f"--ema-decay {ema_decay}: acts only with an average of the weights, found none; add --ema")
    if focal_gamma is not None and not focal_loss:
        raise ConfigError(f"--focal-gamma {focal_gamma}: acts only with the focal loss, found none; add --focal-loss")
    config = RunConfig(
        policy=PolicyConfig(
            backbone=backbone,
            hidden_sizes=layer_sizes(backbone, _widths(hidden_sizes), num_layers),
            head=head,
            dropout=dropout,
            prev_dropout=prev_dropout,
            num_heads=num_heads,
            attention_every=attention_every,
            attention_window=window_size if has_attention(backbone) else None,
        ),
        data=DataConfig(character=train_character, delay=delay, lanes=batch_size, window_size=window_size),
        optim=OptimConfig(
            epochs=epochs,
            lr=lr,
            lr_schedule=lr_schedule,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            ema_decay=(0.999 if ema_decay is None else ema_decay) if ema else 0.0,
            early_stopping=early_stopping,
            patience=5 if patience is None else patience,
        ),
        loss=LossConfig(
            label_smoothing=label_smoothing,
            focal_gamma=(2.0 if focal_gamma is None else focal_gamma) if focal_loss else 0.0,
            button_pos_weight=button_pos_weight,
        ),
        seed=seed,
    )
    folder = find_store(store, replays, train_character)
    summary = train_run(
        config,
        folder,
        name,
        runs=runs,
        device=device,
        callbacks=_callbacks(wandb),
        is_resumed=resume,
        tolerate_bad_shards=tolerate_bad_shards,
    )
    _show_summary(summary, folder, as_json)


def evaluate(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs to compare.", metavar="[RUN]...")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Run to measure.", metavar="RUN")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Measure every RUN on the same replays.")] = False,
    store: StorePath = None,
    replays: ReplaysPath = None,
    split: Annotated[
        str | None, typer.Option("--split", help="val, test or all; default: test, or all with --replays.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure also on replays that the run trained on.")
    ] = False,
    tolerate_bad_shards: TolerateBadShards = 0,
    detailed: Annotated[bool, typer.Option("--detailed", help="Print every component and button.")] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure trained policies on replays they never saw."""
    from train.checkpoint import load_policy
    from train.evaluate import evaluate_run, parse_split
    from train.report import show_reports
    from train.run import find_device

    wanted = _wanted_runs(runs or [], policy, compare)
    chosen = parse_split(split or ("test" if replays is None else "all"))
    folder = find_store(store, replays, None)
    target = find_device(device)
    reports = [
        evaluate_run(
            load_policy(run),
            folder,
            split=chosen,
            is_seen_allowed=allow_seen,
            device=target,
            tolerate_bad_shards=tolerate_bad_shards,
        )
        for run in wanted
    ]
    for shard in sorted({shard for report in reports for shard in report["skipped_shards"]}):
        typer.echo(f"bad shard {shard} was skipped, its replays are missing", err=True)
    show_reports(reports, is_detailed=detailed, to_stderr=as_json)
    if as_json:
        typer.echo(json.dumps({"rows": reports} if compare else reports[0]))


def export(
    run: Annotated[str, typer.Argument(help="Run folder, run name or checkpoint file.", metavar="RUN")],
    int8: Annotated[bool, typer.Option("--int8", help="Keep large matrices as 8-bit integers.")] = False,
    store: Annotated[
        str | None, typer.Option("--store", help="Also measure NLL and accuracy on this store.", metavar="STORE")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="val, test or all of the store; default: test.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's policy.onnx, which plays faster and without PyTorch, and check it against PyTorch."""
    from dataset.errors import ConfigError
    from train.checkpoint import load_policy
    from train.cost import measure_cost
    from train.export import export_run

    if split is not None and store is None:
        raise ConfigError(f"--split {split}: says what to measure of a store, found no --store; add it")
    done = export_run(run, is_int8=int8)
    result: dict[str, Any] = {
        "path": str(done.path),
        "bytes": done.bytes,
        "max_abs_error": done.max_abs_error,
        "different_controllers": done.different_frames,
    }
    if store is not None:
        result |= measure_cost(load_policy(run), done.front, store, split=split or "test")
    for name, value in result.items():
        typer.echo(f"{name:22} {value}", err=True)
    typer.echo(f"next: exphil play --policy {run} --stand-in REPLAY", err=True)
    if as_json:
        typer.echo(json.dumps(result))


def find_store(store: str | None, replays: Path | None, character: str | None) -> str:
    """The store that ``--store`` names, or the cached one that ``--replays`` are ingested into."""
    from dataset.errors import ConfigError

    if (store is None) == (replays is None):
        found = "neither" if store is None else "both"
        raise ConfigError(f"--store or --replays: exactly one says where the data is, found {found}; give one")
    if store is not None:
        return store
    assert replays is not None
    from ingest.cached import cached_store
    from ingest.options import IngestOptions

    return str(cached_store([replays], IngestOptions(character=character)))


def _widths(text: str) -> tuple[int, ...]:
    from dataset.errors import ConfigError

    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--hidden-sizes: whole numbers joined by commas, found '{text}'; give e.g. 256,256"
        ) from error


def _wanted_runs(runs: list[str], policy: str | None, compare: bool) -> list[str]:
    from dataset.errors import ConfigError

    if compare:
        if policy is not None or len(runs) < 2:
            found = f"{len(runs)} runs" + (" and --policy" if policy is not None else "")
            raise ConfigError(f"--compare: takes two runs or more and nothing else, found {found}; name them after it")
        return runs
    if policy is None or runs:
        found = "none" if policy is None else f"also {', '.join(runs)}"
        raise ConfigError(f"--policy: names the one run to measure, found {found}; several need --compare RUN RUN")
    return [policy]


def _callbacks(is_logged: bool) -> "list[Callback]":
    from train.progress import ProgressReport

    callbacks: list[Callback] = [ProgressReport()]
    if is_logged:
        from train.wandb_log import WandbLog

        callbacks.append(WandbLog())
    return callbacks


def _show_summary(summary: dict[str, Any], source: str, as_json: bool) -> None:
    from train.report import next_step, summary_text

    typer.echo(summary_text(summary), err=True)
    typer.echo(f"next: {next_step(summary, source)}", err=True)
    if as_json:
        typer.echo(json.dumps(summary))

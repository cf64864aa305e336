"""``exphil hub``: stores as datasets and runs as models, to the Hugging Face hub and back."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dataset.errors import ConfigError, require_known
from dataset.reporting.terminal import printable
from train.commands.options import AsJson

if TYPE_CHECKING:
    from dataset.io.hub import Kind


def hub(
    direction: Annotated[str, typer.Argument(metavar="push|pull", help="To the hub, or from it.", show_default=False)],
    what: Annotated[
        str,
        typer.Argument(
            metavar="STORE|RUN", help="Folder of a store or of a run; push: also a run's name.", show_default=False
        ),
    ],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The repository.", show_default=False)],
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Push: create a private repository, or require that it is one. Else a new one is as your account sets.",
        ),
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(
            help="Push: a branch, created if it does not exist. Pull: a branch, tag or commit.", show_default="main"
        ),
    ] = None,
    repo_type: Annotated[
        str | None,
        typer.Option(
            metavar="dataset|model",
            help="Pull: which one, if the hub has a store and a run of that name.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what would be copied; this asks the hub what it has.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a store as a dataset, or a run as a model, on the Hugging Face hub, or download one.

    Needs the extra 'hub', which is not part of 'all'. Log in with 'hf auth login', or set HF_TOKEN.

    Nothing is deleted on either side, and a store's salt stays on this machine.
    """
    from dataclasses import asdict

    from dataset.io.hub import open_for_pull, open_for_push
    from dataset.io.runs import find_run
    from dataset.store.sync import store_down, store_up
    from train.runs.hub import pull_run, push_run

    require_known("direction", direction, ("push", "pull"))
    if direction == "push":
        if repo_type is not None:
            raise ConfigError("--repo-type: a store is a dataset and a run a model, so only a pull needs it; drop it")
        kind = _local_kind(what) or "model"
        if kind == "model":
            find_run(what)  # the error for an unknown one lists the known ones
        _require_fit_to_publish(what, kind, private)
        away = open_for_push(repo, kind, is_private=private, revision=revision, is_dry=dry_run)
        is_store = kind == "dataset"
        done = store_up(Path(what), away, is_dry=dry_run) if is_store else push_run(what, away, is_dry=dry_run)
    else:
        if private:
            raise ConfigError("--private: is for a repository that is pushed to, so a pull cannot heed it; drop it")
        away = open_for_pull(repo, _kind_there(repo, what, repo_type), revision=revision)
        down = store_down if away.kind == "dataset" else pull_run
        done = down(Path(what), away, is_dry=dry_run)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "repo": repo, "repo_type": away.kind, "revision": away.revision}))
    else:
        size, way = f"{done.bytes / 1e6:,.1f} MB", "to" if direction == "push" else "from"
        typer.echo(f"{done.files:,} files, {size} {'would be ' if dry_run else ''}copied {way} {printable(away.name)}")


def _local_kind(what: str) -> "Kind | None":
    """What a folder holds, if anything is there yet."""
    from dataset.store.manifest import MANIFEST_NAME

    if (Path(what) / MANIFEST_NAME).is_file():
        return "dataset"
    return "model" if (Path(what) / "config.json").is_file() else None


def _kind_there(repo: str, what: str, asked: str | None) -> "Kind":
    """Whether to pull a store or a run: as asked, as the folder holds, or as the hub has it."""
    from dataset.io.hub import kinds_of

    known: dict[str, Kind] = {"dataset": "dataset", "model": "model"}
    if asked is not None:
        return known[require_known("--repo-type", asked, known)]
    here = _local_kind(what)
    found = [here] if here else kinds_of(repo)
    if len(found) != 1:
        there = "both" if found else "neither that you may read"
        raise ConfigError(
            f"--repo {repo}: a store (dataset) or a run (model) of that name, found {there}; "
            + ("say which with --repo-type" if found else "mend the name, or log in with 'hf auth login'")
        )
    return found[0]


def _require_fit_to_publish(what: str, kind: "Kind", is_private: bool) -> None:
    """Refuse to lay names, connect codes and paths open."""
    from dataset.store.manifest import Manifest

    if kind == "dataset" and not is_private and Manifest.load(what).filters.get("keep_names"):
        raise ConfigError(
            f"store {what}: what is published may not hold players' names, found one made with --keep-names; add --private, or "
            "ingest again without it"
        )

"""Hugging Face's hub as the other side of a copy: one repository, through ``huggingface_hub`` (extra ``[hub]``).

In: ``USER/NAME``, dataset or model, and perhaps a revision. Out: files there and back, each compared by its hash, so that what
is there already is not sent again. The surprise: a push is commits of up to 100 files, the manifest in the last; a pull reads
one commit however many are made meanwhile. The token is ``huggingface_hub``'s own (``hf auth login`` or ``HF_TOKEN``).
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import sha256_of
from dataset.io.rclone import Copied, Progress

Kind = Literal["dataset", "model"]

FILES_A_COMMIT = 100
"""As the hub's documentation advises."""

ANSWER_S = 10.0
"""Within which the hub must say that it has a repository; without a limit, a line that is mute would be listened to for ever."""


@dataclass
class HubRepo:
    """A repository on the hub; see ``dataset.store.sync.Away`` for its methods."""

    api: Any
    """``huggingface_hub.HfApi``."""
    repo: str
    kind: Kind
    revision: str | None = None
    on_progress: Progress | None = None
    _listed: dict[str, Any] | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.kind} {self.repo}{f' at {self.revision}' if self.revision else ''} on the hub"

    def read_text(self, path: str) -> str | None:
        """The text of one file; ``None`` if it is not there."""
        if path not in self.listed():
            return None
        with tempfile.TemporaryDirectory(prefix="exphil-hub-") as folder:
            self._download(Path(folder), path)
            return (Path(folder) / path).read_text(encoding="utf-8", errors="replace")

    def send(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Commit those of the files that are not there, or are others."""
        changed = [path for path in files if not self._is_same(folder, path)]
        operation = library().CommitOperationAdd
        for first in range(0, 0 if is_dry else len(changed), FILES_A_COMMIT):
            part = changed[first : first + FILES_A_COMMIT]
            self._tell(f"sending files {first + 1} to {first + len(part)} of {len(changed)}")
            with self.told(f"sending {part[0]}"):
                self.api.create_commit(
                    self.repo,
                    [operation(path_in_repo=path, path_or_fileobj=str(folder / path)) for path in part],
                    commit_message=f"Add {part[0]}" + (f" and {len(part) - 1} more" if len(part) > 1 else ""),
                    repo_type=self.kind,
                    revision=self.revision,
                )
            self._listed = None
        return Copied(len(changed), sum((folder / path).stat().st_size for path in changed))

    def fetch(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Download those of the files that are there and that the folder lacks or has otherwise."""
        changed = [path for path in files if path in self.listed() and not self._is_same(folder, path)]
        for number, path in enumerate(() if is_dry else changed, 1):
            self._tell(f"fetching file {number} of {len(changed)}, {path}")
            self._download(folder, path)
        return Copied(len(changed), sum(self.listed()[path].size for path in changed))

    def check(self, folder: Path, files: Sequence[str]) -> None:
        """Raise ``ExphilError`` if one of the files is another there than in the folder."""
        self._listed = None
        self.require_same(folder, files, "run the same command again")

    def require_same(self, folder: Path, files: Sequence[str], remedy: str) -> None:
        """Raise ``ExphilError`` if one of the files is another than was listed; ``remedy`` says what to do."""
        for path in files:
            if not self._is_same(folder, path):
                raise ExphilError(f"{self.name}: {path} must be the same on both sides, found it differing; {remedy}")

    def listed(self) -> dict[str, Any]:
        """What lies there, by path; nothing where there is no such repository or revision yet."""
        if self._listed is None:
            errors = library().errors
            try:
                with self.told("listing its files"):
                    entries = list(
                        self.api.list_repo_tree(self.repo, recursive=True, revision=self.revision, repo_type=self.kind)
                    )
            except ExphilError as error:
                if not isinstance(error.__cause__, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
                    raise
                entries = []
            self._listed = {
                entry.path: entry for entry in entries if hasattr(entry, "blob_id")
            }  # the others are folders
        return self._listed

    def about(self) -> Any | None:
        """What the hub says of the repository; ``None`` if there is none, or not for this account."""
        try:
            return self.api.repo_info(self.repo, repo_type=self.kind, timeout=ANSWER_S)
        except library().errors.RepositoryNotFoundError:
            return None

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Turn what ``huggingface_hub`` raises into an ``ExphilError``, without the signatures that addresses may carry."""
        errors = library().errors
        try:
            yield
        except (errors.HTTPError, errors.HFValidationError, OSError) as error:
            lines = re.sub(r"\?\S+", "?…", str(error)).strip().splitlines()
            is_mute = isinstance(error, errors.HTTPError | ConnectionError) and not isinstance(
                error, errors.HfHubHTTPError
            )
            remedy = (
                "see that this machine is online (a dry run asks the hub too) and that HF_ENDPOINT, if set, is its address"
                if is_mute
                else "see that it exists, that you are logged in ('hf auth login' or HF_TOKEN) and may use it"
            )
            raise ExphilError(
                f"{self.name}: {doing} must succeed, found: {lines[0] if lines else type(error).__name__}; {remedy}, "
                "then run the same command again"
            ) from error

    def _download(self, folder: Path, path: str) -> None:
        with self.told(f"fetching {path}"):
            self.api.hf_hub_download(
                self.repo, path, repo_type=self.kind, revision=self.revision, local_dir=str(folder)
            )
        shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)  # the library's notes on what it fetched
        if (folder / ".cache").is_dir() and not any((folder / ".cache").iterdir()):
            (folder / ".cache").rmdir()

    def _is_same(self, folder: Path, path: str) -> bool:
        """Whether a local file is there and is the one that is listed: large ones by SHA-256, others as git names them."""
        file, entry = folder / path, self.listed().get(path)
        if entry is None or not file.is_file() or file.stat().st_size != entry.size:
            return False
        if entry.lfs is not None:
            return bool(sha256_of(file) == entry.lfs.sha256)
        data = file.read_bytes()
        return bool(hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == entry.blob_id)

    def _tell(self, line: str) -> None:
        if self.on_progress is not None:
            self.on_progress(line)


def open_for_push(
    repo: str, kind: Kind, *, is_private: bool, revision: str | None, is_dry: bool, on_progress: Progress | None = None
) -> HubRepo:
    """A repository to send to, made if it is not there.

    Raises:
        ConfigError: the name is none, or a private one is asked for and it is public.
        ExphilError: the hub says no.
    """
    found = HubRepo(library().HfApi(), _require_name(repo), kind, revision, on_progress)
    with found.told("opening it"):
        if (there := found.about()) is not None:
            if is_private and not there.private:
                raise ConfigError(
                    f"--private: {found.name} must be private already or new, found a public one; make it private in its "
                    "settings, or give another --repo"
                )
        elif not is_dry:
            found.api.create_repo(repo, private=is_private or None, repo_type=kind)
        if revision is not None and not is_dry:
            found.api.create_branch(repo, branch=revision, repo_type=kind, exist_ok=True)
    return found


def open_for_pull(repo: str, kind: Kind, *, revision: str | None, on_progress: Progress | None = None) -> HubRepo:
    """A repository as it is at one commit, the newest of ``revision``.

    Raises:
        ConfigError: the name is none.
        ExphilError: there is no such repository or revision, or the hub says no.
    """
    found = HubRepo(library().HfApi(), _require_name(repo), kind, revision, on_progress)
    with found.told("opening it"):
        found.revision = found.api.repo_info(repo, revision=revision, repo_type=kind, timeout=ANSWER_S).sha
    return found


def kinds_of(repo: str) -> list[Kind]:
    """What there is by that name: a dataset, a model, both or none."""
    kinds: tuple[Kind, ...] = ("dataset", "model")
    probes = [HubRepo(library().HfApi(), _require_name(repo), kind) for kind in kinds]
    with probes[0].told("looking for it"):
        return [probe.kind for probe in probes if probe.about() is not None]


def library() -> Any:
    """``huggingface_hub``, imported when it is needed; without it the command line names the extra."""
    return import_module("huggingface_hub")


def _require_name(repo: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise ConfigError(f"--repo: a user or organisation and a name, found '{repo}'; give e.g. --repo me/falco")
    return repo

"""Hugging Face's hub as the other side of a copy: one repository, through ``huggingface_hub`` (extra ``[hub]``).

Each file is compared by its hash, so what is there already is not sent again. A push is a commit for each ``send``, the
manifest in the last; a pull reads one commit however many are made meanwhile. The token is ``huggingface_hub``'s own (``hf auth
login`` or ``HF_TOKEN``).
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import sha256_of
from dataset.io.remote_folder import LARGEST_TEXT, Copied

Kind = Literal["dataset", "model"]

ANSWER_S = 10.0
"""The hub must say within this time that it has a repository; without a limit, a mute line would be waited for for ever."""


@dataclass
class HubRepo:
    """A repository on the hub; see ``RemoteFolder`` for its methods."""

    repo: str
    kind: Kind
    revision: str | None = None
    api: Any = field(default_factory=lambda: library().HfApi())
    _listed: dict[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.repo):
            raise ConfigError(
                f"--repo: a user or organisation and a name, found '{self.repo}'; give e.g. --repo me/falco"
            )

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.kind} {self.repo}{f' at {self.revision}' if self.revision else ''} on the hub"

    def read_text(self, path: str) -> str | None:
        """The text of one file; ``None`` if it is not there."""
        if path not in self.listed():
            return None
        if not 0 <= self.listed()[path].size <= LARGEST_TEXT:
            raise ExphilError(
                f"{self.name}: {path} must have at most {LARGEST_TEXT:,} bytes, found {self.listed()[path].size:,}; name another "
                "repository"
            )
        with tempfile.TemporaryDirectory(prefix="exphil-hub-") as folder:
            self._download(Path(folder), [path])
            return (Path(folder) / path).read_text(encoding="utf-8", errors="replace")

    def send(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Commit those of the files that are not there, or are others."""
        changed = [path for path in files if not self._is_same(folder, path)]
        if changed and not is_dry:
            with self.errors(f"sending {changed[0]}"):
                self.api.upload_folder(
                    repo_id=self.repo,
                    folder_path=str(folder),
                    allow_patterns=changed,
                    commit_message=f"Add {changed[0]}" + (f" and {len(changed) - 1} more" if len(changed) > 1 else ""),
                    repo_type=self.kind,
                    revision=self.revision,
                )
            self._listed = None
        return Copied(len(changed), sum((folder / path).stat().st_size for path in changed))

    def fetch(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Download those of the files that are there and that the folder lacks or has otherwise."""
        changed = [path for path in files if path in self.listed() and not self._is_same(folder, path)]
        if changed and not is_dry:
            self._download(folder, changed)
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
            missing = library().errors.RepositoryNotFoundError, library().errors.RevisionNotFoundError
            entries: list[Any] = []
            with self.errors("listing its files"), suppress(*missing):
                entries += self.api.list_repo_tree(
                    self.repo, recursive=True, revision=self.revision, repo_type=self.kind
                )
            files = (entry for entry in entries if hasattr(entry, "blob_id"))  # the others are folders
            self._listed = {entry.path: entry for entry in files}
        return self._listed

    def about(self) -> Any | None:
        """What the hub says of the repository; ``None`` if there is none, or not for this account."""
        with suppress(library().errors.RepositoryNotFoundError):
            return self.api.repo_info(self.repo, repo_type=self.kind, timeout=ANSWER_S)
        return None

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn what ``huggingface_hub`` raises into an ``ExphilError``, without the signatures that addresses may carry."""
        errors = library().errors
        try:
            yield
        except (errors.HTTPError, errors.HFValidationError, OSError) as error:
            lines = re.sub(r"\?\S+", "?…", str(error)).strip().splitlines()
            is_answered = isinstance(error, errors.HfHubHTTPError)
            is_mute = isinstance(error, errors.HTTPError | ConnectionError) and not is_answered
            remedy = (
                "see that this machine is online (a dry run asks the hub too) and that HF_ENDPOINT, if set, is its address"
                if is_mute
                else "see that it exists, that you are logged in ('hf auth login' or HF_TOKEN) and may use it"
            )
            raise ExphilError(
                f"{self.name}: {doing} must succeed, found: {lines[0] if lines else type(error).__name__}; {remedy}, "
                "then run the same command again"
            ) from error

    def _download(self, folder: Path, files: Sequence[str]) -> None:
        with self.errors(f"fetching {files[0]}"):
            self.api.snapshot_download(
                self.repo,
                repo_type=self.kind,
                revision=self.revision,
                local_dir=str(folder),
                allow_patterns=list(files),
            )
        self.require_same(
            folder, files, "run the same command again"
        )  # offline, the library takes any folder for whole
        shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)  # its notes on what it downloaded
        with suppress(OSError):
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


def open_for_push(repo: str, kind: Kind, *, is_private: bool, revision: str | None, is_dry: bool) -> HubRepo:
    """A repository to send to, made if it is not there.

    Raises:
        ConfigError: the name is none, or a private one is asked for and it is public.
        ExphilError: the hub says no.
    """
    found = HubRepo(repo, kind, revision)
    with found.errors("opening it"):
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


def open_for_pull(repo: str, kind: Kind, *, revision: str | None) -> HubRepo:
    """A repository as it is at one commit, the newest of ``revision``.

    Raises:
        ConfigError: the name is none.
        ExphilError: there is no such repository or revision, or the hub says no.
    """
    found = HubRepo(repo, kind, revision)
    with found.errors("opening it"):
        found.revision = found.api.repo_info(repo, revision=revision, repo_type=kind, timeout=ANSWER_S).sha
    return found


def kinds_of(repo: str) -> list[Kind]:
    """What there is by that name: a dataset, a model, both or none."""
    probes = [HubRepo(repo, "dataset"), HubRepo(repo, "model")]
    with probes[0].errors("looking for it"):
        return [probe.kind for probe in probes if probe.about() is not None]


def library() -> Any:
    """``huggingface_hub``, imported when it is needed; without it the command line names the extra."""
    return import_module("huggingface_hub")

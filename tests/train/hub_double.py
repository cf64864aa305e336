"""A hub in memory: what ``exphil hub`` calls of ``huggingface_hub``, with its names and signatures.

``tests/train/commands/test_hub.py`` holds the signatures to those of the installed library.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LARGE = (".parquet", ".tar", ".safetensors", ".onnx")
"""What the hub's ``.gitattributes`` keeps outside git, by its SHA-256."""


class HTTPError(Exception):
    """Of every request that fails."""


class HfHubHTTPError(HTTPError, OSError):
    """Of every request that was answered, but otherwise than asked for."""


class RepositoryNotFoundError(HfHubHTTPError):
    """No such repository, or not for you."""


class RevisionNotFoundError(HfHubHTTPError):
    """No such branch, tag or commit."""


class HFValidationError(ValueError):
    """A name that cannot be."""


@dataclass
class Repo:
    """One repository: its branches, each a list of commits, each all files by path."""

    is_private: bool = False
    branches: dict[str, list[dict[str, bytes]]] = field(default_factory=lambda: {"main": [{}]})
    messages: list[str] = field(default_factory=list)


class Hub:
    """All repositories, by type and name; stands in for the module ``huggingface_hub``."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.downloaded: list[str] = []
        self.lost: set[str] = set()
        """Files that a download leaves out without a word, as the library does when the line breaks."""
        self.is_down = False
        self.is_mute = False
        self.errors = SimpleNamespace(
            HTTPError=HTTPError,
            HfHubHTTPError=HfHubHTTPError,
            HFValidationError=HFValidationError,
            RepositoryNotFoundError=RepositoryNotFoundError,
            RevisionNotFoundError=RevisionNotFoundError,
        )

    def HfApi(self) -> "HfApi":  # noqa: N802  # the library's name
        """As the class."""
        return HfApi(self)

    def files(self, kind: str, repo: str, branch: str = "main") -> dict[str, bytes]:
        """The newest files."""
        return self.repos[kind, repo].branches[branch][-1]


class HfApi:
    """The methods that are called."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def repo_info(
        self, repo_id: str, *, revision: str | None = None, timeout: float | None = None, repo_type: str | None = None
    ) -> Any:
        if self._hub.is_mute:
            assert timeout is not None, "it would be waited for, for ever"
            raise HTTPError("timed out")
        branch, number = self._at(repo_id, repo_type, revision)
        return SimpleNamespace(private=self._repo(repo_id, repo_type).is_private, sha=f"{branch}~{number}")

    def create_repo(self, repo_id: str, *, private: bool | None = None, repo_type: str | None = None) -> None:
        self._require_up()
        self._hub.repos[repo_type or "model", repo_id] = Repo(is_private=bool(private))

    def create_branch(self, repo_id: str, *, branch: str, repo_type: str | None = None, exist_ok: bool = False) -> None:
        branches = self._repo(repo_id, repo_type).branches
        assert exist_ok or branch not in branches
        branches.setdefault(branch, list(branches["main"]))

    def list_repo_tree(
        self, repo_id: str, *, recursive: bool = False, revision: str | None = None, repo_type: str | None = None
    ) -> Iterable[Any]:
        assert recursive
        files = self._files(repo_id, repo_type, revision)
        for folder in {str(Path(path).parent) for path in files} - {"."}:
            yield SimpleNamespace(path=folder, tree_id="0")
        for path, data in files.items():
            lfs = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if path.endswith(LARGE) else None
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            yield SimpleNamespace(path=path, size=len(data), lfs=lfs, blob_id="pointer" if lfs else blob)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str | Path,
        commit_message: str | None = None,
        repo_type: str | None = None,
        revision: str | None = None,
        allow_patterns: list[str] | str | None = None,
    ) -> None:
        self._require_up()
        repo = self._repo(repo_id, repo_type)
        commits = repo.branches[revision or "main"]
        folder = Path(folder_path)
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        added = {name: path.read_bytes() for name, path in found.items() if _is_among(name, allow_patterns)}
        commits.append(commits[-1] | added)
        repo.messages.append(str(commit_message))

    def snapshot_download(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        local_dir: str | Path | None = None,
        allow_patterns: list[str] | str | None = None,
    ) -> str:
        assert local_dir is not None
        for name, data in self._files(repo_id, repo_type, revision).items():
            if not _is_among(name, allow_patterns) or name in self._hub.lost:
                continue
            notes = Path(local_dir, ".cache", "huggingface", "download", f"{name}.metadata")
            for target in (Path(local_dir, name), notes):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            self._hub.downloaded.append(name)
        return str(local_dir)

    def _require_up(self) -> None:
        if self._hub.is_down:
            raise HfHubHTTPError("403 Forbidden for url: https://storage.example/x?X-Signature=hunter2\nRequest ID: 1")

    def _repo(self, repo_id: str, repo_type: str | None) -> Repo:
        self._require_up()
        if (repo_type or "model", repo_id) not in self._hub.repos:
            raise RepositoryNotFoundError(f"404: no {repo_type} {repo_id}")
        return self._hub.repos[repo_type or "model", repo_id]

    def _at(self, repo_id: str, repo_type: str | None, revision: str | None) -> tuple[str, int]:
        """Branch and number of a commit, which is named ``branch~number``."""
        branches = self._repo(repo_id, repo_type).branches
        branch, _, number = (revision or "main").partition("~")
        if branch not in branches:
            raise RevisionNotFoundError(f"404: no revision {revision}")
        return branch, int(number) if number else len(branches[branch]) - 1

    def _files(self, repo_id: str, repo_type: str | None, revision: str | None) -> dict[str, bytes]:
        branch, number = self._at(repo_id, repo_type, revision)
        return self._repo(repo_id, repo_type).branches[branch][number]


def _is_among(name: str, patterns: list[str] | str | None) -> bool:
    assert isinstance(patterns, list)
    return any(fnmatch(name, pattern) for pattern in patterns)

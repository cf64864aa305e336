from pathlib import Path

import pytest

from dataset.errors import ConfigError
from ingest.datasets import DATASETS_NAME, Dataset, Lock, load_datasets, write_lock

LOCK = Lock(replays=3, frames=432_000, digest="0123")

TEXT = """\
# ours
datasets:
  first:  # the good one
    sources: [a, b.zip]   # two
    store: stores/first
    character: mewtwo

    # about the next
  second:
    store: /stores/second
    locked: # written by exphil ingest
      replays: 1
      digest: "old"
    sources:
      - c
    min_frames: 60
# the end
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / DATASETS_NAME
    path.write_text(TEXT)
    return path


def test_datasets_are_read_with_paths_from_the_files_folder(path: Path) -> None:
    folder = path.parent
    assert load_datasets(path) == [
        Dataset(
            name="first",
            sources=(str(folder / "a"), str(folder / "b.zip")),
            store=str(folder / "stores" / "first"),
            options={"character": "mewtwo"},
        ),
        Dataset(name="second", sources=(str(folder / "c"),), store="/stores/second", options={"min_frames": 60}),
    ]


def test_a_lock_is_added_at_the_end_of_its_dataset_and_nothing_else_changes(path: Path) -> None:
    write_lock(path, "first", LOCK)
    added = """\
    locked: # written by exphil ingest
      replays: 3
      frames: 432000
      hours: 2.0
      digest: "0123"
"""
    assert path.read_text() == TEXT.replace("    character: mewtwo\n", "    character: mewtwo\n" + added)


def test_an_older_lock_is_renewed_where_it_is_and_its_comments_stay(path: Path) -> None:
    path.write_text(
        TEXT.replace(
            "      replays: 1\n", "      replays: 1 # few\n      # so it was\n\n      frames: 9\n      hours: 0.0\n"
        )
    )
    write_lock(path, "second", LOCK)
    write_lock(path, "second", LOCK)
    renewed = """\
      replays: 3 # few
      # so it was

      frames: 432000
      hours: 2.0
      digest: "0123"
"""
    assert path.read_text() == TEXT.replace('      replays: 1\n      digest: "old"\n', renewed)
    assert [found.name for found in load_datasets(path)] == ["first", "second"]


@pytest.mark.parametrize(
    "text",
    [
        "datasets:\n    a:\n        store: 's'  # here\n        sources:\n        - x\n        - y # last\nLOCK\n# end\n",
        "datasets:\n  a:\n    store: s\n    # both\n    sources: [x, y]\nLOCK  # of b\n  b:\n    store: t\n    sources: x\n",
        "datasets:\n  b: &b\n    sources: x\n    store: t\n    locked:\n  a:\n    <<: *b\n    store: u # z\nLOCK# k\n",
    ],
    ids=["wide indents", "a list in brackets", "what another dataset holds"],
)
def test_a_lock_is_added_to_files_of_other_layouts_and_nothing_else_changes(tmp_path: Path, text: str) -> None:
    path = tmp_path / DATASETS_NAME
    path.write_text(text.replace("LOCK", ""))
    write_lock(path, "a", LOCK)
    before, _, after = text.partition("LOCK")
    found = path.read_text()
    assert (found[: len(before)], found[len(found) - len(after) :]) == (before, after)
    added = found[len(before) : len(found) - len(after)]
    assert [line.strip() for line in added.splitlines()[1:]] == [
        *("replays: 3", "frames: 432000", "hours: 2.0", 'digest: "0123"')
    ]
    assert "a" in [dataset.name for dataset in load_datasets(path)]


def test_a_dataset_in_braces_is_locked_within_them(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("datasets:\n  a: {store: s, sources: [x]} # one\n")
    write_lock(tmp_path / "d.yaml", "a", LOCK)
    assert (
        'sources: [x], locked: {replays: 3, frames: 432000, hours: 2.0, digest: "0123"}} # one\n'
        in (tmp_path / "d.yaml").read_text()
    )
    assert [found.name for found in load_datasets(tmp_path / "d.yaml")] == ["a"]


def test_the_ends_of_lines_stay_as_they_are(path: Path) -> None:
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    write_lock(path, "first", LOCK)
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == TEXT.count("\n") + 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: [", "must be YAML"),
        ("datasets: {}", "at least one dataset"),
        ("datasets:\n  a: 3\n", "must be a mapping"),
        ("datasets:\n  a:\n    store: s\n", "found no 'sources'"),
        ("datasets:\n  a:\n    sources: [x]\n", "found no 'store'"),
        ("datasets:\n  a:\n    store: s\n    sources: [x]\n    charcter: fox\n", "found 'charcter'"),
        (
            "datasets:\n  a:\n    store: s\n    sources: [x]\n    min_frames: many\n",
            "must be a whole number, found 'many'",
        ),
        ("datasets:\n  a:\n    store: s\n    sources: [x]\n    character: foxx\n", "'foxx': unknown"),
        ("datasets:\n  a:\n    store: s\n    sources: [x]\n    include_cpu: 1\n", "must be true or false, found 1"),
        (
            "datasets:\n  a:\n    store: s\n    sources: [x]\n    min_frames: true\n",
            "must be a whole number, found True",
        ),
        ("datasets:\n  a:\n    store: s\n    sources: ['']\n", r"'sources' are paths or URLs, found \[''\]"),
        ("datasets:\n  a:\n    store: s\n    sources: [x: y]\n", "'sources' are paths or URLs"),
        (
            "datasets:\n  a:\n    store: s\n    sources: [x]\n  a:\n    store: t\n    sources: [y]\n",
            'duplicate key "a"',
        ),
        ("all: &all\n  store: s\n  sources: [x]\ndatasets:\n  a: *all\n", r"found an alias \(\*…\)"),
    ],
)
def test_what_the_file_gets_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_datasets(tmp_path / "d.yaml")


def test_a_file_in_another_encoding_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_bytes("# ü\n".encode("latin-1") + TEXT.encode())
    with pytest.raises(ConfigError, match="must be UTF-8, found another encoding; save it as UTF-8"):
        load_datasets(tmp_path / "d.yaml")


def test_a_dataset_with_an_anchor_is_locked_and_another_may_build_on_it(path: Path) -> None:
    path.write_text(TEXT.replace("  first:", "  first: &first").replace("  second:\n", "  second:\n    <<: *first\n"))
    write_lock(path, "first", LOCK)
    first, second = load_datasets(path)
    assert (first.options, second.options) == ({"character": "mewtwo"}, {"character": "mewtwo", "min_frames": 60})


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(path)
    write_lock(tmp_path / "link.yaml", "first", LOCK)
    assert (tmp_path / "link.yaml").is_symlink()
    assert "frames: 432000" in path.read_text()


def test_a_missing_file_is_said_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a SOURCE and --store, or write one"):
        load_datasets(tmp_path / "d.yaml")


def test_the_example_of_the_repository_is_valid() -> None:
    (dataset,) = load_datasets(Path(__file__).parents[2] / DATASETS_NAME)
    assert dataset.ingest_options().character == "mewtwo"

"""The conduct of the people that runs imitate, measured in a store by a process of its own: play reads no store.

Measured are players of the run's character in the train split: these are the games that it learned from.
"""

from collections.abc import Sequence

from dataset.io.child import run_child
from dataset.io.runs import find_run
from dataset.stats.conduct.conduct import Conduct
from play.runtime.load import Say
from train.runs.run_folder import load_record


def measure_imitated(runs: Sequence[str], store: str, say: Say) -> list[Conduct]:
    """The conduct of whom each run imitates, in the order of the runs.

    Args:
        runs: run arguments.
        store: where to measure.
        say: takes a line for each run about what was measured.

    Raises:
        CheckpointError: there is no such run.
        ExphilError: the store cannot be read, or holds no such game.
    """
    measured = {}
    found = []
    for run in runs:
        folder, _ = find_run(run)
        record = load_record(folder)
        character = record["config"]["data"]["character"]
        if character not in measured:
            named = [] if character is None else ["--character", character]
            answer, _ = run_child("stats", "--store", store, "--query", "conduct", "--split", "train", *named, say=say)
            (measured[character],) = answer["rows"]
        people = measured[character]
        trained = set(record.get("data", {}).get("train", {}).get("ids", ()))
        known = len(trained.intersection(people["games"]))
        say(
            f"run {folder.name}: imitates {character or 'all players'}, measured in {len(people['games']):,} of "
            f"{people['games_there']:,} train games of {store} ({known:,} of them it was trained on)"
        )
        found.append(Conduct.from_json(people["conduct"]))
    return found

"""Where replays come from: folders, archives, URLs."""

"""Starting Dolphin and playing matches in it."""

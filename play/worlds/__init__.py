"""Worlds: games in lock step that policies play in."""

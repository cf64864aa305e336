"""Arenas: cohorts of policies that play in a world, and how well they do."""

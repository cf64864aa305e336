"""Generated replays of two scripted players."""

"""Replays in: find, parse, clean, judge, and write the frame store."""

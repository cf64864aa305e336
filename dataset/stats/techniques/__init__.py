"""Techniques of players, found in the frame table."""

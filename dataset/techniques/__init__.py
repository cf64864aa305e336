"""Techniques of play told from the frame table: one finder each, all with one signature, listed in ``table``."""

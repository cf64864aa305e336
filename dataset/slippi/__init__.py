"""Slippi's ``.slp`` files: events and UBJSON."""

"""Codecs, one per file: ways to turn controllers into classes and back."""

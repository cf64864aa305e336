"""Ingest as a run: plan, parse in parallel, commit."""

"""Questions to a store, answered with polars."""

"""Every claim of a store, checked."""

"""Files and transfers: atomic writes, locks, downloads, caches."""

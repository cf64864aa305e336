"""A policy wired to live frames and a controller."""

"""Entries for the Computer Melee Championship, which reaches its bots through UMI."""

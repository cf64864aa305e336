"""Games played in lock step: worlds, and the cohorts of policies that play in them."""

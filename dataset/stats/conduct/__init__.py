"""How players behave: what is counted of them, in the arena while games run and in stores, by the same rules."""

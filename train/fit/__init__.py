"""The training loop, its losses and optimizers."""

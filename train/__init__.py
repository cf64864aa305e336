"""Backbones, heads, policies, the training loop, evaluation and checkpoints."""

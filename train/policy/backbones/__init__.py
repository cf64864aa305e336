"""Sequence models, one file each, behind one signature (train.policy.backbones.base)."""

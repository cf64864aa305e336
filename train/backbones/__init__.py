"""Sequence models, one file each, behind one signature (train.backbones.base)."""

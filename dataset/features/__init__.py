"""Frames to features: the encoder that replays and live play share."""

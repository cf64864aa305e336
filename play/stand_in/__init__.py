"""A double of Dolphin that plays a replay."""

"""A program for the GameCube that reads its pads as Melee does, and a real Dolphin that runs it under exphil's pads."""

"""Live frames in, controllers out: agents, runners and Dolphin sessions."""

"""Streaming: replays in, training batches out, in lanes or in shuffled windows over one bank."""

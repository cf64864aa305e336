"""The data: schema, facts of the game, codecs, features, the store, streaming, checks and statistics."""

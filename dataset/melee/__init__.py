"""Facts of the game: ids, action states, controllers, item slots."""

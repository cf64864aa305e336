"""How like a person a bot plays: its games beside those of people, statistic by statistic."""

"""What ``eval --detailed`` adds."""

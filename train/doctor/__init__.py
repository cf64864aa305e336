"""What is installed here and how fast it is."""

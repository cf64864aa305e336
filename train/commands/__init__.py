"""The command lines of this stage."""

"""Recorded games of a policy, found and measured."""

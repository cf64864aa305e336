"""Attacks on exphil by machine: what strangers, crashes and full disks do to it, one part a file; run by ``scripts/harden``."""

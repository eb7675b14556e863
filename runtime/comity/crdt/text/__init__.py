"""Replicated text: a log of positions, merged where people wrote at the same time."""

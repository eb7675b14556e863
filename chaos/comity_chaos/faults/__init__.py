"""Faults: what can be done to a world, each with an inverse, a count and a declared model."""

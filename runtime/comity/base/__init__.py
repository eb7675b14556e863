"""Ids, clock types, limits, errors and ports: what every layer knows; it knows no layer."""

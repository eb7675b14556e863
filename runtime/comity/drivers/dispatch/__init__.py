"""Hosts actors: many cells on few threads, in pykka's manners; replies wait for the disk."""

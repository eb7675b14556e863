"""Handshake, sync, delivery, pairing as pure machines; they may not know user code."""

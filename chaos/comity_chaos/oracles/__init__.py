"""Oracles: each judges one promise of the runtime, while a run goes on and at its end."""

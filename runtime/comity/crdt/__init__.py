"""Replicated types: a fold of operations; it is told what is visible and by whom."""

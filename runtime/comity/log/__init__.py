"""Sealed commits and their causal graph: the only truth; it may not know who may write."""

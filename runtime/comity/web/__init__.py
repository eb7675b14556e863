"""Pages: what a node shows to the browser beside it, on loopback and to nobody else."""

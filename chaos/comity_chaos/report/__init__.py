"""The report of one failure, or of one run: a single HTML file that needs nothing else."""

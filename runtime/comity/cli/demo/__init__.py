"""`comity demo`: the promise kept on real processes, and every claim of it checked."""

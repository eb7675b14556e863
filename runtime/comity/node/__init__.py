"""One pure machine per node: step(event, now) -> effects; it may not do any of them."""

"""Keys, seals, handshakes behind one port: the only layer that knows crypto libraries."""

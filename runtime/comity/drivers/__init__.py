"""The only I/O: threads, clocks, entropy, sockets, SQLite, gRPC, pykka; no policy here."""

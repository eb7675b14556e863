"""The commands, one function each: arguments in, requests to a node, lines out."""

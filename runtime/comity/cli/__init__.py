"""Commands and their text; they may not know more of a node than its users do."""

"""What users import: Node, Ref, create, open, ref; it decides nothing that a peer sees."""

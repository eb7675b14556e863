"""Who may read, write, administer: computed from the log alone, never from a clock."""

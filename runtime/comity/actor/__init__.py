"""Turns, mailboxes, supervision of user code; it may not know peers, links or disks."""

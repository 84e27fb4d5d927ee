"""One POP3 session: it awaits the contracts, and owns no socket and no clock."""

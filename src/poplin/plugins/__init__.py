"""Plugins sit on the pipe between the protocol core and the session."""

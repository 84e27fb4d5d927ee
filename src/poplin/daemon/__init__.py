"""The daemon: a configuration file becomes a running server.

The roof of the house: it alone chooses implementations, and nothing below imports it. `schema` says what
a configuration may hold, `check` holds a file against it, `settings` are the frozen values that come of
it, `assembly` builds the server, `run` keeps it running.
"""

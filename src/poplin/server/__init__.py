"""asyncio lives here and only here: listeners, connections, TLS, time."""

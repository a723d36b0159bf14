"""Real processes, real sockets, real clients and servers."""

"""The supervisor, its roles, signals and sockets: everything that is about processes rather than about requests."""

"""The demo: its service, its traffic and what it looks for in a report."""

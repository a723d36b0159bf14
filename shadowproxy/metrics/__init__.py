"""Every series in one list, the shared-memory counters behind them, and their exposition."""

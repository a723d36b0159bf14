"""Origin connections: pools, health, names, deadlines. Pools of different arms share nothing."""

"""Client connections and the exchange driver: the primary path depends on the primary alone (law 1)."""

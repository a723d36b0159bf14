"""The benchmark: shadowproxy beside its peers, in one run on one machine. Start it with `make bench`."""

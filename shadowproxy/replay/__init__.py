"""Replays recorded traffic through the data plane's own parts: what CI gates a release with, without production."""

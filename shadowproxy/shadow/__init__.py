"""Mirroring. The shadow takes what the primary leaves: everything here is bounded, counted and never waits."""

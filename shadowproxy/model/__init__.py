"""Frozen values that every room shares. Nothing here does I/O, reads a clock or knows a policy's effect."""

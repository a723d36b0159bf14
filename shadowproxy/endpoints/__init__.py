"""Endpoints that nobody configured: what a path's segments look like, the templates learned from them, and the tree
that finds a path's template. Pure.

A learned template reads like a configured one, but its placeholders say what they take: `{id}` a whole number, `{uuid}`
a UUID and so on (`endpoints.looks`), `{name}` what has no look of its own.
"""

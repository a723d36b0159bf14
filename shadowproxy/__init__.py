"""shadowproxy: serve from the primary, mirror to the candidate, tell what differs, carry the rollout."""

__version__ = "0.1.0"

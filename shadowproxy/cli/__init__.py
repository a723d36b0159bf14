"""The commands. Modules here import at their head only what `--help` needs."""

"""Flags in control: the file that is watched, changes, versions, what workers get, and how often flags were asked."""

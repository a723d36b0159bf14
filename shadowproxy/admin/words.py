"""Kinds of text in bodies. The description alone has their bounds: what breaks one gets a sentence of its handler's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Said = Annotated[str, Meta(extra_json_schema={"minLength": 1})]
"""Text that has to be there."""
Until = Annotated[str, Meta(extra_json_schema={"minLength": 2, "examples": ["2h", "2026-12-27T06:00:00Z"]})]
"""A duration from now, or a time (RFC 3339)."""
Percentage = Annotated[str, Meta(extra_json_schema={"pattern": r"^\d+(\.\d+)?%$", "examples": ["10%"]})]

"""Patterns of the short words in requests and settings; `validation_messages` has each of them in words."""

from __future__ import annotations

KIND_PATTERN = r"^[a-z][a-z0-9-]{0,40}$"
PROVIDER_PATTERN = r"^[a-z0-9][a-z0-9-]{0,40}$"
COLOUR_PATTERN = r"^#[0-9A-Fa-f]{6}$"
TAG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,49}$"
NO_NUL_PATTERN = r"^[^\x00]*$"  # PostgreSQL's text holds no NUL

"""Real clients, asked to read the same answers straight from an upstream and through streamkit's relay."""

from __future__ import annotations

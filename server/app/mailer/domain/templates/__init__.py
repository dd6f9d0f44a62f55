"""Texts with placeholders: the two engines, and what goes wrong in texts."""

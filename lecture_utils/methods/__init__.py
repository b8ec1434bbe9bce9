"""Longer calculations that a lecture calls by name; each file can be read on its own."""

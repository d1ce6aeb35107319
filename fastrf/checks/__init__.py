"""Checks: what must hold of a network's fields, and what they were when they were locked."""

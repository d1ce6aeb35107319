"""Which input sizes fit a network."""

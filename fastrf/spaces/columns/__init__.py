"""Many candidates of one skeleton at once: arrays of interned dependencies."""

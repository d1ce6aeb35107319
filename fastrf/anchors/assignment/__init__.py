"""Which anchor points see which boxes."""

"""Which positions are for which boxes: by exact masks, and as RFLA and ATSS choose them."""

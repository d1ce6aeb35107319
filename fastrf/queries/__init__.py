"""What can be asked of a dependency: counts, masks, boxes, halos; and the names and positions that questions use."""

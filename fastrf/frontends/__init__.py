"""Front-ends: each reads one kind of source into a Network, and does nothing else."""

"""Many architectures at once: column programs over interned dependencies, metrics, tables, threads and Dask."""

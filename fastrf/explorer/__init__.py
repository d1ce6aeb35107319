"""The explorer: one page that holds an analysis, and computes every mask where it is looked at."""

"""What fastrf asks of the system, and how it is shown: files, interrupts, the terminal, tables and texts."""

VERSION = "0.1.0"

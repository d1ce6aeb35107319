"""What fastrf asks of the system: files, interrupts, the terminal."""

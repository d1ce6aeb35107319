"""`python -m fastrf`."""

from fastrf.cli import main

if __name__ == "__main__":
    main()

"""`python -m lab`, and the entry point of the console script."""

from cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()

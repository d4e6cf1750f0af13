"""`python -m engine`, the same as `dial-engine`."""

import sys

from engine.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())

"""`python -m engine`, the same as `dial-engine`."""

import os
import sys

# numpy's BLAS would start a thread per core that spins for work; nothing here multiplies matrices. Read once,
# when numpy is first imported, which no command does before this line.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from engine.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())

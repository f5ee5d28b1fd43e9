"""`python -m batchedit.sandbox`."""

from batchedit.sandbox.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

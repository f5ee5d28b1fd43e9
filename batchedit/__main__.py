"""``python -m batchedit``."""

from batchedit.cli import main

if __name__ == "__main__":  # a process that makes pictures small loads this file without being the program
    main()

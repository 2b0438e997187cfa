"""python -m algoperf.doctor"""

import sys

from algoperf.doctor.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

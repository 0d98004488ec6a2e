import sys

from localjobs.cli import main

sys.exit(main(sys.argv[1:]))

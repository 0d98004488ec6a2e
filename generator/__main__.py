import gc
import sys

gc.disable()  # what a command makes it keeps to its end; looking for garbage takes a third of the time of 10,000 rows

from generator.cli import main  # noqa: E402

sys.exit(main(sys.argv[1:]))

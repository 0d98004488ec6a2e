import sys

try:
    from monitor.cli import main
except KeyboardInterrupt:
    sys.exit(130)

sys.exit(main(sys.argv[1:]))

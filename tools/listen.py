"""The multicast listener from a checkout; installed it is `feeder-listen`."""

import sys

from feeder.listen.cli import main

if __name__ == "__main__":
    sys.exit(main())

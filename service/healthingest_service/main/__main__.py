"""The entry point of the image: `python -m healthingest_service.main`."""

import sys

from healthingest_service.main.cli import main

if __name__ == "__main__":
    sys.exit(main())

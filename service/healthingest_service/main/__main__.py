"""`python -m healthingest_service.main`: how the image starts."""

import sys

from healthingest_service.main.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m keras_mothernets` is the console command `keras-mothernets`."""

import sys

from keras_mothernets.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Runs the demonstration with nothing on the screen but its own words.

    make demo

Says what `demonstration` does, step by step; what TensorFlow, XLA and LiteRT print is kept from the
screen, and shown only if something fails.
"""

import os
import sys

from keras_fastvit.conversion.commands.running import QUIET
from keras_fastvit.conversion.native_output import captured


def main() -> int:
    """Runs the demonstration; returns its exit status."""
    os.environ.update(QUIET)
    with captured() as output:
        try:
            from benchmarks import demonstration

            return demonstration.main()
        except Exception:
            sys.stderr.write(output.text())
            raise


if __name__ == "__main__":
    sys.exit(main())

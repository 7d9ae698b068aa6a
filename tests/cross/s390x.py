#!/usr/bin/python3
"""A big-endian machine, under qemu-user."""
# tests/run: soak alone timeout=10800
import sys

import crosskit

sys.exit(crosskit.main("s390x"))

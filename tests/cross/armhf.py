#!/usr/bin/python3
"""A 32-bit machine, under qemu-user."""
# tests/run: soak alone timeout=10800
import sys

import crosskit

sys.exit(crosskit.main("armhf"))

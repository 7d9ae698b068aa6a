#!/usr/bin/python3
"""A 32-bit machine, under qemu-user."""
# tests/run: soak timeout=5400
import sys

import crosskit

sys.exit(crosskit.main("armhf"))

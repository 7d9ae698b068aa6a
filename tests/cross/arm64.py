#!/usr/bin/python3
"""64-bit ARM, under qemu-user."""
# tests/run: soak alone timeout=10800
import sys

import crosskit

sys.exit(crosskit.main("arm64"))

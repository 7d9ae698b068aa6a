#!/usr/bin/python3
"""64-bit ARM, under qemu-user."""
# tests/run: soak timeout=5400
import sys

import crosskit

sys.exit(crosskit.main("arm64"))

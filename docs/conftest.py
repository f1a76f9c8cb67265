"""Every python block of the documentation is a test."""

from blocks import SYBIL

pytest_collect_file = SYBIL.pytest()

"""Where blocks of rows run.  An engine maps block -> Q and reduces with +, in a fixed order."""

from emframe.engines.serial import Serial, block_rows

__all__ = ["Serial", "block_rows"]

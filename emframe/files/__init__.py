"""Files: saved fits and checkpoints, one JSON document and plain arrays in a zip.

`archives` is the file itself, `saving` a fit in it, `checkpoints` a fit under way, `resuming` how
that goes on, and `fingerprints` tells whether it is the same fit.
"""

"""UnlearnRec: a network that is trained beforehand to answer deletion requests with a correction of the table."""

from recsys.methods.unlearnrec.method import UnlearnRec

__all__ = ["UnlearnRec"]

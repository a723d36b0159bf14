"""How sure one may be, at any moment: e-processes and what follows from them. Pure; time is passed in.

An e-process is a number that starts at 1 and, as long as there is no harm, passes 1/α with probability α at most,
however often one looks (Ville 1939). Everything is kept as logarithms: the products overflow.
"""

from shadowproxy.evidence.ebh import CAPACITY, regressed, threshold
from shadowproxy.evidence.ledger import FieldLedger, FieldRow

__all__ = ["CAPACITY", "FieldLedger", "FieldRow", "regressed", "threshold"]

"""How sure one may be, at any moment: e-processes and what follows from them. Pure; time is passed in."""

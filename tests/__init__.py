from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""The type checker of the slow tests, to which an int is a float too, as in PEP 484."""

"""Who may come in: the contract, the SASL mechanisms, and the user bases that know an answer.

Nothing is imported here, so that asking for one user base loads no other.
"""

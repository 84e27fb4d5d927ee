"""Where messages come from: the contract (`base`), what every store shares, and the stores themselves."""

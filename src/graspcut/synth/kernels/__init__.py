"""How compiled functions are made, and the random numbers that they use."""

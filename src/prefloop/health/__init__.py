"""How far a reward model can be trusted."""

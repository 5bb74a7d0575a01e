"""Over-optimisation measured: what reward models are worth to gold as policies drift, in one picture."""

"""What is wrong with a run or a pipeline, what shows it, and what to change: signs, remedies, and one rollout token by
token."""

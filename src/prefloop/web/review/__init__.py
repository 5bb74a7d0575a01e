"""What leads look at and decide: progress, agreement, annotators, what to ask next, adjudication, the arena."""

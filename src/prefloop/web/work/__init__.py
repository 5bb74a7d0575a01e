"""What annotators do: items in a queue, answers, judgements, gold and calibration, the chat."""

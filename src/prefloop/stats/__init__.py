"""The arithmetic of people's judgements: agreement, aggregation, ranking, stopping, annotators, what to ask next.

Pure functions and frozen dataclasses on numpy and scipy; never torch, no files, no settings.
"""

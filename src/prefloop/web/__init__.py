"""The page where people judge what a language model wrote: `prefloop web DIR`. It never loads torch, and nothing imports it."""

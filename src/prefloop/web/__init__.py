"""The page where people judge what a language model wrote: `prefloop web DIR`.

It never loads torch, and nothing imports it; what it needs beyond the ground is the extra `web`. From the top, as
pyproject.toml keeps it: routes (urls), exchange (files and other programs) and review (what leads look at), work (items
and judgements), pages (words and templates), security (accounts and the guard), store (tables).
"""

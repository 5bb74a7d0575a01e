"""The health card of a reward model: measured on held-out preferences, judged by rules, shown as a page."""

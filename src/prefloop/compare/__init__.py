"""The same preferences, several methods: what each costs and gains, on one page."""

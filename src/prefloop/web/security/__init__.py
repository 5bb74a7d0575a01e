"""Who may come in, and what may: accounts, and the guard before every route."""

"""The routes: what may be asked over HTTP, one file for each kind of caller."""

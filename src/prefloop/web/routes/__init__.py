"""Addresses of the page and of its API, one noun a file; none of them holds SQL."""

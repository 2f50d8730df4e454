"""Cards: what is said about a model, checked when read; the source of every table and of the README that is pushed."""

"""One file per zoo model; shipped inside the wheel as `affectzoo._cards`."""

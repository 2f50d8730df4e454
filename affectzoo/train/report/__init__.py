"""`affectzoo evaluate`: a model on one split, as tables, JSON and plots."""

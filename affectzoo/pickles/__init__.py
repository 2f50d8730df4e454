"""Reading what others pickled without running what it says."""

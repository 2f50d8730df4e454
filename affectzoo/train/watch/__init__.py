"""What is seen and written of a run while it goes on."""

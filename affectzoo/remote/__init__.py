"""What goes over the network: files of the Hugging Face Hub and of plain addresses. Knows nothing of models."""

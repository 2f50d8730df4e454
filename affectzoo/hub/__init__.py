"""Where models come from and how they are described: zoo names, folders, the Hugging Face Hub, cards."""

"""What is in a corpus and what is wrong with it (`affectzoo data check`), and how its first clips look (`data preview`)."""

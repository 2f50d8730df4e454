"""`python -m affectzoo.cli`, for where the script is not on the path."""

from affectzoo.cli import main

main()

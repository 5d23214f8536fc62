"""`python -m graspcut.cli` is the command `graspcut`."""

from graspcut.cli import main

main()

"""`python -m restorekit.cli`: the command line without an installed script."""

from restorekit.cli.app import main

main()

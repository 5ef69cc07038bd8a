"""`python -m restorekit.cli`: the command line without an installed script."""

from restorekit.cli.app import main

if __name__ == "__main__":
    main()

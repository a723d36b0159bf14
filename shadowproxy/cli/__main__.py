"""`python -m shadowproxy.cli`: the console script without its script."""

from __future__ import annotations

from shadowproxy.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m cxotel` is the command `cxotel`."""

from __future__ import annotations

from cxotel.cli import main

if __name__ == "__main__":
    main(prog_name="cxotel")

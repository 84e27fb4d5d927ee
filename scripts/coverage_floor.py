"""Compare the coverage that the last whole run of the suite measured with the floor that is committed.

The floor (`scripts/coverage_floor.txt`, per cent of lines and branches) is raised by hand when it can be,
and never lowered: coverage does not fall.
"""

from __future__ import annotations

import sys
from pathlib import Path

from coverage import Coverage

FLOOR = Path(__file__).with_suffix(".txt")


def main() -> int:
    """0 if coverage is at the floor or above; otherwise 1, after a table of what is not covered."""
    floor = float(FLOOR.read_text("ascii"))
    coverage = Coverage()
    coverage.load()
    # The report prints the uncovered lines of each file; files covered whole are left out.
    total = coverage.report(file=sys.stdout)
    if total < floor:
        print(f"coverage fell: {total:.1f} % is below the floor of {floor:g} % ({FLOOR.name})", file=sys.stderr)
        return 1
    print(f"coverage {total:.1f} %, floor {floor:g} %")
    if total >= floor + 1:
        print(f"the floor in {FLOOR.name} can be raised to {int(total)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

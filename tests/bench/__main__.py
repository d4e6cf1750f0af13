"""`make bench`, or `python -m tests.bench --quick`: the figures of the README as a table."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform

import msgspec

from tests.bench.figures import calibration_us, measure_all


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="CPU time of the engine process per dial, SIPp as the far side.",
        epilog="example: python -m tests.bench --quick",
    )
    parser.add_argument("--quick", action="store_true", help="one round, short tails: for a first look only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    before = calibration_us()
    figures = asyncio.run(
        measure_all(rounds=1, tail_s=5.0, burst_s=10.0) if arguments.quick else measure_all()
    )
    after = calibration_us()
    machine = f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    if arguments.json:
        print(
            json.dumps(
                {
                    "calibration_us": [before, after],
                    "figures": msgspec.to_builtins(figures),
                    "machine": machine,
                }
            )
        )
        return
    print(f"{machine}; calibration loop {before:.3f} us before, {after:.3f} us after")
    for figure in figures:
        value = f"{figure.value:>10.3f} {figure.unit:<10}"
        print(f"{figure.what:<48} {value} at most {figure.target:g}  {figure.note}")


if __name__ == "__main__":
    main()

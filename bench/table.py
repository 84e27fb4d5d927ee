"""Rows of JSON become a table: medians, spread, and the ratio to the base server of the same repetition."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

BASE = "dovecot-tuned"
TARGETS = {
    ("login", "uvloop"): "8x",
    ("login", "asyncio"): "5x",
    ("session", "uvloop"): "4x",
    ("session", "asyncio"): "4x",
    ("retr8k", "uvloop"): "1.2x",
    ("retr8k", "asyncio"): "1.2x",
    ("scan100k", "uvloop"): "10 ms",
    ("scan100k", "asyncio"): "10 ms",
    ("idle", "uvloop"): "8 KB",
    ("idle", "asyncio"): "8 KB",
}
_HEAD = (
    "| server | ops/s | min to max | MB/s | p50 us | p99 us | CPU us/op | x tuned, by rate | x tuned, by CPU | target"
    " | others' cores | errors |"
)
_STEPS = ("pass_ms", "pass_to_stat_ms", "uidl_ms", "list_ms", "total_ms")


def _median(rows: Sequence[Row], key: str) -> float:
    return float(statistics.median(row.get(key) or 0 for row in rows))


def _target(mode: str, server: str) -> str:
    kind, _, loop = server.partition("-")
    return TARGETS.get((mode, loop), "") if kind in {"poplin", "serve"} else ""


def ratios(rows: Sequence[Row], base: Sequence[Row], key: str) -> list[float]:
    """For each repetition that both have: the row's figure over the base's."""
    of_base = {row["rep"]: row.get(key) or 0 for row in base}
    return [(row.get(key) or 0) / of_base[row["rep"]] for row in rows if of_base.get(row["rep"])]


def _ratio(values: Sequence[float], *, inverse: bool = False) -> str:
    if inverse:
        values = [1 / value for value in values if value]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"


def _errors(rows: Sequence[Row]) -> str:
    errors = sum(row.get("errors", 0) for row in rows)
    return f"{errors} {next((row['first_error'] for row in rows if 'first_error' in row), '')[:50]}" if errors else "0"


def _by_server(rows: Sequence[Row], mode: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["bench"] == mode:
            found.setdefault(row["server"], []).append(row)
    return found


def _mode(rows: Sequence[Row], mode: str) -> list[str]:
    lines = [
        f"### {mode}",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_server = _by_server(rows, mode)
    base = by_server.get(BASE, [])
    for server, own in by_server.items():
        rates = [row.get("ops_per_s", 0) for row in own]
        by_rate, by_cpu = ratios(own, base, "ops_per_s"), ratios(own, base, "srv_cpu_us_per_op")
        lines.append(
            f"| {server} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} "
            f"| {_median(own, 'MB_per_s'):,.1f} | {_median(own, 'p50_us'):,.0f} | {_median(own, 'p99_us'):,.0f} "
            f"| {_median(own, 'srv_cpu_us_per_op'):,.1f} | {_ratio(by_rate)} | {_ratio(by_cpu, inverse=True)} "
            f"| {_target(mode, server)} | {_median(own, 'others'):.2f} | {_errors(own)} |"
        )
    if mode.startswith("scan"):
        lines += _scan(by_server)
    return [*lines, ""]


def _scan(by_server: dict[str, list[Row]]) -> list[str]:
    lines = ["", "| server | PASS ms | PASS to STAT ms | UIDL ms | LIST ms | session ms |", "|---|---|---|---|---|---|"]
    for server, rows in by_server.items():
        if own := [row for row in rows if "total_ms" in row]:
            lines.append(f"| {server} | " + " | ".join(f"{_median(own, step):.2f}" for step in _STEPS) + " |")
    return lines


def _verify(rows: Sequence[Row]) -> list[str]:
    lines = ["### octets compared with the corpus", "", "| server | right | wrong | wrong sizes | errors |"]
    lines.append("|---|---|---|---|---|")
    servers = dict.fromkeys(row["server"] for row in rows)
    for server in servers:
        own = [row for row in rows if row["server"] == server]
        counts = [sum(row.get(key, 0) for row in own) for key in ("verified", "missed", "bad_size")]
        lines.append(f"| {server} | {counts[0]:,} | {counts[1]:,} | {counts[2]:,} | {_errors(own)} |")
    return [*lines, ""]


def _idle(rows: Sequence[Row]) -> list[str]:
    lines = ["### idle, logged in", ""]
    lines += ["| server | held | processes | Pss before KB | Pss KB | Pss a connection KB | Rss a connection KB |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {row['server']} | {row.get('held', 0):,} | {row.get('srv_procs', 0):,} | {row.get('pss_kb_before', 0):,} "
        f"| {row.get('pss_kb', 0):,} | {row.get('pss_kb_per_conn', 0):.1f} | {row.get('rss_kb_per_conn', 0):.1f} |"
        for row in rows
    ]
    return [*lines, ""]


def table(rows: Sequence[Row]) -> str:
    """The Markdown of all rows."""
    verified = [row for row in rows if row["bench"].startswith("verify")]
    idled = [row for row in rows if row["bench"] == "idle"]
    modes = dict.fromkeys(row["bench"] for row in rows if row["bench"] != "idle" and row not in verified)
    lines = _verify(verified) if verified else []
    for mode in modes:
        lines += _mode(rows, mode)
    if idled:
        lines += _idle(idled)
    return "\n".join(lines)

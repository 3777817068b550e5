"""The Markdown tables of the speed benchmark."""

from __future__ import annotations

from statistics import median
from typing import Any

# Multiplications and additions of resnet8 with 32 units for each pixel that is scored.
_FLOP_PER_PIXEL = 2 * 328_000


def report(results: dict[str, Any]) -> str:
    """Return the table of rows, and that of limits."""
    found = [row for key, row in results.items() if key != "limits"]
    training = [row for row in found if "ap" in row["runs"][0]["heliodor"]]
    parts = [_rows(found), *([_training(training)] if training else [])]
    return "\n\n".join([*parts, *([_limits(results["limits"])] if "limits" in results else [])]) + "\n"


def _rows(found: list[dict[str, Any]]) -> str:
    head = ["", "heliodor (s)", "topaz-em (s)", "ratio of wall times", "of processor times", "asked", "memory (MB)"]
    lines = [head, ["---"] * len(head)]
    for row in found:
        wall = {name: [run[name]["wall_s"] for run in row["runs"] if name in run] for name in ("heliodor", "topaz")}
        memory = [max(run[name]["peak_rss_mb"] for run in row["runs"]) for name in row["runs"][0]]
        lines.append(
            [
                row["name"],
                _middle(wall["heliodor"]),
                _middle(wall["topaz"]),
                _ratio(row["runs"], "wall_s"),
                _ratio(row["runs"], "cpu_s"),
                "" if row["target"] is None else f"{row['target']:g}",
                " / ".join(f"{value:.0f}" for value in memory) if any(memory) else "",
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _training(found: list[dict[str, Any]]) -> str:
    """Return what each training run reached, and what it took: average precision, processor seconds."""
    head = ["", "draw", "topaz-em: AP (processor s)", "heliodor: minibatches, AP (processor s)"]
    lines = [head, ["---"] * len(head)]
    for row in found:
        for draw, run in enumerate(row["runs"]):
            other = f"{run['topaz']['ap']:.4f} ({run['topaz']['cpu_s']:.0f})" if "topaz" in run else ""
            curve = [f"{step['updates']}: {step['ap']:.4f} ({step['cpu_s']:.0f})" for step in run["heliodor"]["curve"]]
            reached = "" if run["heliodor"]["reached"] else "; not reached"
            lines.append([row["name"], str(draw), other, ", ".join(curve) + reached])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _middle(values: list[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else ""


def _ratio(runs: list[dict[str, Any]], what: str) -> str:
    """Ratios of pairs that ran one after the other: their median and range. None where heliodor did not get there."""
    if not all(run["heliodor"].get("reached", True) for run in runs):
        return "not reached"
    ratios = [run["topaz"][what] / run["heliodor"][what] for run in runs if "topaz" in run and run["heliodor"][what]]
    return f"**{median(ratios):.1f}** ({min(ratios):.1f} to {max(ratios):.1f})" if ratios else ""


def _limits(limits: dict[str, float]) -> str:
    frame, pixels = 2 * 4096**2 + 4 * 4096**2, 512**2
    bandwidth, flops = limits["copy_gb_per_s"] * 1e9, limits["product_gflops"] * 1e9
    stages = [
        ("read a frame to float32", "read_s", frame / bandwidth, "bytes over bandwidth"),
        ("downsample it", "downsample_s", 4 * 4096**2 / bandwidth, "bytes over bandwidth"),
        ("normalize 512 x 512", "normalize_s", 2 * 4 * pixels / bandwidth, "bytes over bandwidth"),
        ("score 512 x 512 (resnet8)", "score_s", pixels * _FLOP_PER_PIXEL / flops, "FLOPs over matrix product"),
        ("suppress 512 x 512", "suppress_s", 4 * pixels / bandwidth, "bytes over bandwidth"),
        ("refine", "refine_s", 0.0, ""),
        ("load the model", "load_model_s", 0.0, ""),
    ]
    lines = ["| stage | measured (ms) | limit (ms) | times the limit | limit is |", "| --- | --- | --- | --- | --- |"]
    for name, key, limit, kind in stages:
        ends = [f"{limit * 1e3:.2g}", f"{limits[key] / limit:.1f}", kind] if limit else ["", "", ""]
        lines.append(f"| {name} | {limits[key] * 1e3:.1f} | {' | '.join(ends)} |")
    lines.append(
        f"\nCopy {limits['copy_gb_per_s']:.1f} GB/s, matrix product {limits['product_gflops']:.0f} GFLOP/s; reading "
        f"the frames and one pruned real FFT of each: {limits['read_and_fft_s']:.2f} s."
    )
    return "\n".join(lines)

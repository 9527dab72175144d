#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the measurements of tests/bench/run say.

usage: report.py merge --about KEY=VALUE... -- OUTPUT...   JSON of several runs
       report.py table FILE                                as a person reads it
       report.py targets FILE                              do the targets hold?
       report.py compare FILE BASELINE                     is it what it was?
       report.py plot FILE DIR                             an SVG for each scale

An OUTPUT is what one run printed: lines "SERIES POINT NAME=NUMBER...". In the JSON
"figures" has, by series, point and name, the median of the runs and how far they are
apart, in percent of the median. targets and compare exit with 1 if something does not
hold.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys

FORMAT = 1
LINE = re.compile(r"^([a-z][a-z0-9_-]*) ([A-Za-z0-9_-]+)((?: [a-z0-9]+=\d+)+)$")

# How far a figure may be from the baseline, in percent, and by how many instructions
# that are too few to tell: an interrupt more or less.
TOLERANCE = 3
SLACK = 50
# Not compared: how often it was done, what only shows that others are busy, and
# what the kernel does at times of its own.
UNCOMPARED_NAMES = {"n", "p95", "median"}
UNCOMPARED_SERIES = {"memory", "collector", "in-flight"}

# The two breakdowns, and the parts of them that are the module's own code: the same
# instructions in each run. What else it calls has the scheduler's and RCU's in it.
BREAKDOWN, BREAKDOWN_ALONE = "breakdown", "breakdown-alone"
OWN_PARTS = {"detour", "hand-over", "settle"}
OWN_TOLERANCE = 1

# Targets that are known to be missed: Documentation/performance.rst says why.
KNOWN_MISSES = {
    "the whole machine for a request",
    "the whole machine, keys: how flat, in percent",
    "the whole machine, agents: how flat, in percent",
    "one of 1,000 in flight, no dearer than of 10",
}

SCALES = {
    "keys": "keys in the session keyring",
    "collector": "keys in the session keyring, without a request",
    "depth": "keyrings that the agent's key is nested in",
    "agents": "registered agents",
    "processes": "processes in the agent's pid namespace",
    "row": "requests made before",
    "in-flight": "requests in flight",
    "throughput": "requesters",
}


def fail(message):
    """Ends the program with a message for who called it."""
    sys.exit(f"report.py: {message}")


def load(path):
    """The JSON of a file that this program has made."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}")
    if data.get("format") != FORMAT:
        fail(f"{path}: not of format {FORMAT}; measure anew")
    return data


def parse(text):
    """The figures of one run."""
    figures = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match:
            point = figures.setdefault(match[1], {}).setdefault(match[2], {})
            for pair in match[3].split():
                name, value = pair.split("=")
                point[name] = int(value)
    return figures


def merge(args):
    """Prints the JSON of several runs."""
    runs = [parse(pathlib.Path(path).read_text("utf-8")) for path in args.outputs]
    figures = {}
    for run in runs:
        for series, points in run.items():
            for point, names in points.items():
                for name, value in names.items():
                    figures.setdefault(series, {}).setdefault(point, {}).setdefault(
                        name, []
                    ).append(value)
    for points in figures.values():
        for names in points.values():
            for name, values in names.items():
                middle = statistics.median(values)
                names[name] = {
                    "median": round(middle),
                    "spread": round(100 * (max(values) - min(values)) / middle, 2)
                    if middle
                    else 0,
                    "runs": len(values),
                }
    data = {"format": FORMAT}
    data.update(pair.split("=", 1) for pair in args.about)
    data["figures"] = figures
    json.dump(data, sys.stdout, indent=1)
    print()


def value(data, series, point, name="each"):
    """One figure, or None."""
    try:
        return data["figures"][series][point][name]["median"]
    except KeyError:
        return None


def table(args):
    """Prints the figures in columns."""
    data = load(args.file)
    unit = data["unit"]
    print(f"{unit} for each, kernel {data['kernel']}, {data['runs']} runs")
    columns = "{:12} {:20}" + " {:>9}" * 5 + " {:>8}"
    shown = ("each", "tasks", "mean", "median", "p95")
    for series, points in data["figures"].items():
        if series in ("memory", BREAKDOWN, BREAKDOWN_ALONE):
            continue
        print()
        print(columns.format(series, "", *shown, "spread"))
        for point, names in points.items():
            values = [names[name]["median"] if name in names else "" for name in shown]
            print(columns.format("", point, *values, f"{names['each']['spread']} %"))
    for series, what in (
        (BREAKDOWN, "a request"),
        (BREAKDOWN_ALONE, "a request without an agent and without a program"),
    ):
        breakdown = data["figures"].get(series)
        if not breakdown:
            continue
        print(f"\nbreakdown of {what}")
        total = 0
        for part, names in sorted(
            breakdown.items(), key=lambda item: -item[1]["each"]["median"]
        ):
            total += names["each"]["median"]
            print(f"{names['each']['median']:10}  {part}")
        print(f"{total:10}  in all")
    for point, names in data["figures"].get("memory", {}).items():
        print(f"\nmemory, each {point}: {names['bytes']['median']} bytes")


def sum_of_parts(data, series, parts):
    """The sum of these parts of a breakdown, or None."""
    breakdown = data["figures"].get(series)
    if not breakdown:
        return None
    return sum(
        names["each"]["median"] for part, names in breakdown.items() if part in parts
    )


def module_part(data):
    """What the module adds to a request: its own code and the detour."""
    parts = OWN_PARTS | {"signal", "wait", "later"}
    return sum_of_parts(data, BREAKDOWN, parts)


def module_part_alone(data):
    """The same without an agent, with the search for one."""
    parts = OWN_PARTS | {"hand-over-key-service"}
    return sum_of_parts(data, BREAKDOWN_ALONE, parts)


def flat(data, series, name):
    """By how much the points of a scale differ from its first one, in percent."""
    points = data["figures"].get(series)
    if not points:
        return None
    values = [names[name]["median"] for names in points.values()]
    return max(abs(100 * (value - values[0]) / values[0]) for value in values)


def targets(args):
    """Says of each target whether it holds."""
    data = load(args.file)
    if data["unit"] != "instructions":
        fail(f"{args.file}: targets are of instructions, not of {data['unit']}")
    tasks = value(data, "request", "agent", "tasks")
    agent = value(data, "request", "agent", "mean")
    upcall = value(data, "request", "request-key", "mean")
    checks = [
        (
            "request_key(2) from call to return, median",
            value(data, "request", "agent", "median"),
            50000,
        ),
        ("requester and agent for a request", tasks, 50000),
        ("the whole machine for a request", value(data, "request", "agent"), 50000),
        ("what the module adds to it", module_part(data), 5500),
        ("the same without an agent", module_part_alone(data), 1500),
    ]
    if agent and upcall:
        checks.append(
            ("a 45th of a request through /sbin/request-key", agent, upcall // 45)
        )
    for name in ("program", "constant", "file", "key"):
        cost = value(data, "request", f"keyagentd-{name}", "mean")
        if cost and upcall:
            most = upcall * 11 // 10 if name == "program" else upcall // 20
            checks.append((f"keyagentd's answer by {name}", cost, most))
    for series in ("add_key", "cached", "keyctl"):
        points = data["figures"].get(series, {})
        if "unloaded" in points:
            least = value(data, series, "unloaded", "median")
            most = value(data, series, "loaded", "median")
            checks.append((f"{series}, unchanged by the module", most, least + SLACK))
    for series in ("keys", "agents", "row"):
        for name, who in (
            ("tasks", "requester and agent"),
            ("each", "the whole machine"),
        ):
            change = flat(data, series, name)
            if change is not None:
                checks.append(
                    (f"{who}, {series}: how flat, in percent", round(change, 2), 5)
                )
    few, many = value(data, "in-flight", "10"), value(data, "in-flight", "1000")
    if few and many:
        checks.append(("one of 1,000 in flight, no dearer than of 10", many, few))
    bad = 0
    for what, measured, limit in checks:
        if measured is None:
            word = "FAILED"
        elif what in KNOWN_MISSES:
            # One that holds has no place in that list.
            word = "missed" if measured > limit else "FAILED"
        else:
            word = "FAILED" if measured > limit else "ok"
        bad += word == "FAILED"
        print(f"{word:7} {what}: {measured}, at most {limit}")
    if bad:
        print("FAILED is what does not hold, or holds although it is among KNOWN_MISSES.")
    sys.exit(bool(bad))


def compare(args):
    """Says which figures are not those of the baseline."""
    data, baseline = load(args.file), load(args.baseline)
    for key in ("unit", "kernel", "toolchain", "config"):
        if data[key] != baseline[key]:
            print(f"{key} is {data[key]}, that of the baseline {baseline[key]}:")
            print("figures of these cannot be compared")
            return
    bad = compared = 0
    for series, points in data["figures"].items():
        if series in UNCOMPARED_SERIES:
            continue
        for point, names in points.items():
            for name in names:
                old = value(baseline, series, point, name)
                if name in UNCOMPARED_NAMES or old is None:
                    continue
                new = value(data, series, point, name)
                most = max(old * TOLERANCE / 100, SLACK)
                if series in (BREAKDOWN, BREAKDOWN_ALONE):
                    if point not in OWN_PARTS:
                        continue
                    most = old * OWN_TOLERANCE / 100
                compared += 1
                if abs(new - old) > most:
                    bad += 1
                    print(
                        f"FAILED  {series} {point} {name}: {new}, was {old}: "
                        f"{100 * (new - old) / old:+.1f} %"
                    )
    if not compared:
        fail(f"{args.baseline} has none of the figures")
    print(
        f"{compared} figures compared, {bad} more than {TOLERANCE} % apart"
        f" ({OWN_TOLERANCE} % for the module's own code)"
    )
    if bad:
        print("If that is meant to be: make bench-baseline, and commit what it writes.")
    sys.exit(bool(bad))


def lines_of(scale, figures):
    """What is drawn of a scale: the title, the points, and which figure of them."""
    if scale == "throughput":
        return [
            (f"{series.removeprefix('cpus-')} processors", points, "each")
            for series, points in figures.items()
            if series.startswith("cpus-")
        ]
    if scale not in figures:
        return []
    return [
        ("the whole machine", figures[scale], "each"),
        ("requester and agent", figures[scale], "tasks"),
    ]


def plot(args):
    """Has gnuplot draw each scale."""
    data = load(args.file)
    out = pathlib.Path(args.dir)
    out.mkdir(parents=True, exist_ok=True)
    for scale, label in SCALES.items():
        lines = lines_of(scale, data["figures"])
        if not lines:
            continue
        script = [
            "set terminal svg size 640,400 background rgb 'white'",
            f"set output '{out / scale}.svg'",
            f'set xlabel "{label}"',
            f'set ylabel "{data["unit"]} for each"',
            "set yrange [0:*]",
            "set grid",
            "set key bottom left",
        ]
        if scale not in ("depth", "row"):
            script.append("set logscale x")
        for number, (_, points, name) in enumerate(lines):
            script.append(f"$line{number} << END")
            script += [
                f"{point} {names[name]['median']}" for point, names in points.items()
            ]
            script.append("END")
        script.append(
            "plot "
            + ", ".join(
                f"$line{number} with linespoints pointtype 7 title '{title}'"
                for number, (title, _, _) in enumerate(lines)
            )
        )
        subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


def main():
    parser = argparse.ArgumentParser(
        description="What the measurements of tests/bench/run say."
    )
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("merge")
    command.add_argument("--about", action="append", default=[])
    command.add_argument("outputs", nargs="+")
    command.set_defaults(run=merge)
    for name, run, others in (
        ("table", table, []),
        ("targets", targets, []),
        ("compare", compare, ["baseline"]),
        ("plot", plot, ["dir"]),
    ):
        command = commands.add_parser(name)
        command.add_argument("file")
        for other in others:
            command.add_argument(other)
        command.set_defaults(run=run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()

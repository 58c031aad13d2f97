"""Tables of measurements, read from the JSON files in ``experiments/`` while the site is built: they cannot drift.

A page asks for one with ``<!-- figure: NAME -->``. The pages of the experiments themselves join the site where they
lie, with their plots.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "experiments" / "benchmarks"
_PAGES = ("paper", "benchmarks")
_ASKED = re.compile(r"<!-- figure: (\w+) -->")
Record = dict[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the experiments and the plots they show."""
    for folder in _PAGES:
        for page in sorted((ROOT / "experiments" / folder).glob("*.md")):
            for path in [page, *_plots(page)]:
                place = path.relative_to(ROOT).as_posix()
                if files.get_file_from_path(place) is None:
                    files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def _plots(page: Path) -> Iterable[Path]:
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        yield (page.parent / name).resolve()


def on_page_markdown(markdown: str, **_) -> str:
    """Put the tables where they are asked for."""
    return _ASKED.sub(lambda found: table_of(found.group(1)), markdown)


def table_of(name: str) -> str:
    """One table by its name."""
    if name not in FIGURES:
        raise PluginError(f"<!-- figure: {name} -->: expected one of {', '.join(FIGURES)}")
    return FIGURES[name]()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _read(name: str) -> Record:
    return json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))


def _alignment(name: str, heading: str, label: Callable[[Record], str], structure: str = "ribosome") -> str:
    """Accuracy and cost, one row for each measurement of a file."""
    measured = _read(name)
    count = measured["particles"]
    head = (
        heading, "within 10 deg", "median error", "rms error / Cramer-Rao bound (rotation, shift)",
        "95 % ellipsoid holds the truth", "CPU per particle",
    )  # fmt: skip
    if "before" in measured:
        head = (*head, f"commit {measured['before']['commit']} beside it")
    rows = [
        (
            label(row),
            f"{round(row['success'] * count)} of {count}",
            f"{row['median_rotation_deg']:.2f} deg, {row['median_shift_voxels']:.2f} voxel",
            f"{row['rotation_over_bound']:.2f}, {row['shift_over_bound']:.2f}",
            "" if row["inside_95"] is None else f"{100 * row['inside_95']:.1f} %",
            f"{1000 * row['cpu_seconds_per_particle']:.0f} ms",
            *([f"{1000 * row['before']['cpu_seconds_per_particle']:.0f} ms"] if "before" in row else []),
        )
        for row in measured["rows"]
        if Path(row["structure"]).name == structure
    ]
    return _table(head, rows)


def _convergence() -> str:
    """How near the optimum of the loss each optimizer is, by passes over the data."""
    rows = _read("convergence")["rows"]
    budgets = sorted({row["budget"] for row in rows})
    distance = {(row["optimizer"], row["budget"]): row["rotation_from_optimum_over_bound"] for row in rows}
    names = dict.fromkeys(row["optimizer"] for row in rows)
    head = ("optimizer", *(f"{budget:g}" for budget in budgets))
    cells = ((n, *(f"{distance[n, b]:.2f}" if (n, b) in distance else "" for b in budgets)) for n in names)
    return _table(head, cells)


def _averaging() -> str:
    """Time and memory of one iteration, and what it ended at."""
    measured = _read("average")
    summary = measured["summary"]
    rows = [
        ("particles", f"{measured['particles']}"),
        ("one iteration, wall", f"{measured['iteration_wall_seconds']:.0f} s on {measured['threads']} cores"),
        ("the command, wall", f"{measured['command_wall_seconds']:.0f} s"),
        ("peak memory", f"{measured['peak_memory_gb']:.1f} GB"),
        ("FSC 0.143", f"{summary['resolution_0.143_angstrom']:.1f} angstrom"),
        ("with true poses", f"{summary['oracle_resolution_0.143_angstrom']:.1f} angstrom"),
    ]
    return _table(("", ""), rows)


def _verdicts() -> str:
    """False alarms and misses of the checks behind verdicts."""
    measured = _read("verdicts")
    good = [
        (name, f"{row['alarms']} of {row['cases']}", "", _up_to(row["alarms_95_percent"]))
        for name, row in [*measured["good"].items(), ("**all good kinds**", measured["good_together"])]
    ]
    bad = [
        (name, "", f"{row['missed']} of {row['cases']}", _up_to(row["missed_95_percent"]))
        for name, row in [
            *((f"`{name}`: {row['what']}", row) for name, row in measured["bad"].items()),
            ("**all bad kinds**", measured["bad_together"]),
        ]
    ]
    return _table(("cases", "good ones with an alarm", "bad ones missed", "95 % interval"), [*good, *bad])


def _up_to(interval: list[float]) -> str:
    """An interval of a part, in percent."""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def _good_runs() -> str:
    """Runs in which nothing is wrong, by command."""
    rows = _read("good_runs")["rows"]
    kinds: dict[str, list[dict]] = {}
    for name, row in rows.items():
        words = name.split()
        kind = " ".join([words[0], "real particles"] if words[1] == "real" else words[:1])
        if words[0] == "average" and words[1] != "real":
            kind = "average from nothing" if "nothing" in name else "average from a map"
        if words[0] == "extract":
            kind = "extract, then align"
        kinds.setdefault(kind, []).append(row)
    head = ("command", "runs", "trust: yes", "doubt", "no", "what was doubted")
    return _table(head, [_trusted(kind, found) for kind, found in kinds.items()])


def _trusted(kind: str, rows: list[dict]) -> tuple[str, ...]:
    counts = [sum(row["trust"] == word for row in rows) for word in ("yes", "doubt", "no")]
    codes = sorted({f"`{finding['code']}`" for row in rows for finding in row["findings"]})
    return (kind, str(len(rows)), *map(str, counts), ", ".join(codes))


def _time_left() -> str:
    """Announced by real time left, and what live pages cost."""
    head = (
        "command",
        "CPU seconds",
        "after a quarter",
        "half",
        "three quarters",
        "last particle",
        "CPU time of a page",
    )
    moments = ("0.25", "0.5", "0.75", "last particle")
    rows = []
    for name, found in _read("time_left")["runs"].items():
        known = [found["time_left"].get(moment) for moment in moments]
        told = ["" if one is None else f"{one['announced_by_real']:.2f}" for one in known]
        page = f"{1000 * found['cpu_seconds_of_a_page']:.0f} ms"
        rows.append((name, f"{found['cpu_seconds']:.0f}", *told, page))
    return _table(head, rows)


def _noise() -> str:
    """Averages of what should make none."""
    head = ("particles", "trust: yes", "doubt", "no")
    counts = _read("noise")["counts"]
    return _table(head, [(kind, *(str(row[word]) for word in ("yes", "doubt", "no"))) for kind, row in counts.items()])


def _ribosomes() -> str:
    """Twenty experimental particles, from a map and from themselves alone."""
    head = (
        "start", "each particle at", "FSC 0.5 against the authors' map", "with their poses", "median error, deg",
        "iterations", "can it be trusted",
    )  # fmt: skip
    starts = ("from the authors' average at 60 angstrom", "from the particles alone")
    arms = {"best pose": _read("ribosomes"), "posterior": _read("ribosomes_posterior")}
    rows = [
        (
            start,
            arm,
            f"{run['truth_resolution_0.5_angstrom']:.0f} angstrom",
            f"{run['oracle_truth_resolution_0.5_angstrom']:.0f} angstrom",
            f"{run['median_rotation_error_deg']:.0f}",
            f"{run['iterations']}",
            run["trust"],
        )
        for start in starts
        for arm, measured in arms.items()
        for run in measured[start]
    ]
    return _table(head, rows)


def _scaling() -> str:
    """Two ranks against one."""
    measured = _read("scaling")
    what = {"throughput": "particles shared", "candidates": "candidates of one particle shared"}
    head = ("work", "backend", "wall, one rank / two", "CPU, one rank / the busier of two")
    rows = [
        (said, backend.split()[0], f"{run['speedup_wall']:.2f}", f"{run['speedup_cpu']:.2f}")
        for key, said in what.items()
        for backend, run in measured[key]["summary"].items()
    ]
    return _table(head, rows)


def _comparison(experiment: str) -> str:
    """What each method of a comparison found and cost."""
    with open(ROOT / "experiments" / "paper" / experiment / "summary.csv", newline="", encoding="utf-8") as file:
        measured = list(csv.DictReader(file))
    head = ("", "within 10 deg", "median rotation error", "evaluations", "CPU per particle")
    rows = [
        (
            f"`{row['method']}`",
            f"{row['within_10_deg']} of {row['particles']}",
            f"{float(row['median_rotation_error_deg']):.1f} deg",
            f"{float(row['mean_evaluations']):.0f}",
            f"{1000 * float(row['cpu_seconds']):.0f} ms",
        )
        for row in measured
    ]
    return _table(head, rows)


def _snr(row: Record) -> str:
    return f"{row['snr']:g}"


def _tilt_and_snr(row: Record) -> str:
    return f"{row['tilt']:g} deg, {row['snr']:g}"


def _average_speed() -> str:
    """This version beside an earlier one."""
    record = _read("average_speed")
    head = ("CPU time", "particles", "0.1.0", "now", "ratio")
    labels = {
        "iteration_cpu_ms_a_particle": ("an iteration, ms a particle", "particles"),
        "2_iterations_cpu_seconds": ("a run of two iterations, s", "particles"),
        "5_iterations_cpu_seconds": ("a run of five, s", "particles"),
        "fixed_cpu_seconds": ("what iterations do not add to, s", "particles"),
        "reference_free_cpu_seconds": ("from the particles alone, six iterations, s", "reference_free"),
        "classify_cpu_seconds": ("`classify` into ten classes, s", "classified"),
    }
    ratios = record["this_by_earlier"]
    rows = [
        (
            label,
            str(record["counts"][kind]),
            f"{record['earlier'][key]:g}",
            f"{record['this'][key]:g}",
            f"{ratios[key]:.2f}",
        )
        for key, (label, kind) in labels.items()
        if key in ratios
    ]
    return _table(head, rows)


def _hard_cases() -> str:
    """Refinements of hard particles, two programs side by side."""
    programs = {"torchsag": "torchsag", "relion": "RELION"}
    head = (
        "case", "particles", "program", "FSC 0.5 with the truth", "sum of that FSC over shells",
        "FSC 0.143 of the halves", "CPU s",
    )  # fmt: skip
    rows = [
        (
            entry["case"]["what"], str(entry["case"]["particles"]), name, _angstrom(run["truth_0.5_angstrom"]),
            f"{run['truth_area_shells']:.1f}" if "truth_area_shells" in run else "",
            _angstrom(run["half_map_0.143_angstrom"]), f"{run['cpu_seconds']:.0f}",
        )
        for entry in _read("hard_cases")["cases"].values()
        for key, name in programs.items()
        if (run := entry.get(key))
    ]  # fmt: skip
    return _table(head, rows)


def _angstrom(resolution: float | None) -> str:
    return "none" if resolution is None else f"{resolution:.1f} Å"


def _kept_transforms() -> str:
    """What half precision costs."""
    head = (
        "SNR", "rms error / bound, as read", "as kept", "difference of the two poses / bound", "CPU ms to read", "kept",
    )  # fmt: skip
    rows = [
        (
            f"{row['snr']:g}", f"{row['error_by_bound_as_read']:.4f}", f"{row['error_by_bound_as_kept']:.4f}",
            f"{row['apart_by_bound']:.4f}", f"{row['load_file_cpu_ms']:.1f}", f"{row['load_kept_cpu_ms']:.1f}",
        )
        for row in _read("kept_transforms")["rows"]
    ]  # fmt: skip
    return _table(head, rows)


def _learned_search() -> str:
    """A network's candidates beside those of matching."""
    head = (
        "search", "SNR", "best candidate within 17 deg", "any of 24", "CPU ms a particle", "refined within 10 deg",
        "median error",
    )  # fmt: skip
    names = {"LearnedSearch": "network", "RotationalMatching": "rotational matching"}
    rows = [
        (
            names[row["search"]], f"{row['snr']:g}", f"{row['best_near_percent']:.0f} %",
            f"{row['any_near_percent']:.0f} %", f"{row['cpu_ms_per_particle']:.1f}",
            f"{row['within_10_deg_percent']:.0f} %", f"{row['median_error_deg']:.2f} deg",
        )
        for row in _read("learned_search")["rows"]
    ]  # fmt: skip
    return _table(head, rows)


def _sheets() -> list[Record]:
    """Score sheets of the benchmark: torchsag's methods, then other programs."""
    paths = sorted((ROOT / "experiments" / "bench" / "sheets").glob("*.json"))
    sheets = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(sheets, key=lambda sheet: (not sheet["name"].startswith("torchsag"), sheet["name"]))


def _bench(tasks: Sequence[str], measures: dict[str, str]) -> str:
    """Every entrant in some tasks of the benchmark, 95 % intervals in brackets."""
    rows = [
        (
            sheet["name"],
            task.partition("_")[2],
            str(sheet["tasks"][task]["particles"]),
            *(_measure(sheet["tasks"][task]["measures"].get(name), name) for name in measures),
        )
        for task in tasks
        for sheet in _sheets()
        if task in sheet["tasks"]
    ]
    return _table(("entrant", "", "particles", *measures.values()), rows)


def _measure(record: Record | None, name: str) -> str:
    if record is None or record["value"] is None:
        return ""

    def shown(value: float) -> str:
        return f"{100 * value:.0f} %" if name in _SHARES else f"{value:.2g}" if value < 10 else f"{value:.0f}"

    if record["low"] is None:
        return shown(record["value"])
    return f"{shown(record['value'])} ({shown(record['low'])} to {shown(record['high'])})"


_SHARES = ("within_10_deg", "inside_50", "inside_95", "right_class")
_DIFFICULTIES = ("easy", "normal", "hard")
_TIME = {"cpu_seconds_per_particle": "CPU s a particle"}
_POSES = {
    "within_10_deg": "within 10°",
    "median_rotation_error_deg": "median error (°)",
    "rotation_error_by_bound": "rotation error / bound",
    "shift_error_by_bound": "shift error / bound",
}


def _tasks(kind: str) -> list[str]:
    return [f"{kind}_{difficulty}" for difficulty in _DIFFICULTIES]


def _assignment_rules() -> str:
    """One turn of averaging by each rule."""
    rows = _read("assignment_rules")["rows"]
    sets = list(dict.fromkeys(row["set"] for row in rows))
    of = {(row["rule"], row["set"]): row for row in rows}

    def cell(rule: str, name: str) -> str:
        row = of[rule, name]
        return f"{_mean(row['shells']):.2f}, {_mean(row['shells_beyond_60_angstrom']):.2f}"

    rules = dict.fromkeys(row["rule"] for row in rows)
    return _table(("each particle at", *sets), [(rule, *(cell(rule, name) for name in sets)) for rule in rules])


def _posterior_averages() -> str:
    """Whole runs, in pairs of the same particles."""
    record = _read("posterior_averages")
    runs = {(run["case"], run["seed"], run["arm"]): run for run in record["runs"]}
    cases = dict.fromkeys(run["case"] for run in record["runs"] if run["case"] in record["cases"])
    rows = []
    for case in cases:
        seeds = [seed for name, seed, arm in runs if name == case and arm == "posterior"]
        best, spread = ([runs[case, seed, arm] for seed in seeds] for arm in ("best pose", "posterior"))
        gains = [b["truth_area_shells"] - a["truth_area_shells"] for a, b in zip(best, spread, strict=True)]

        def means(key: str, form: str, pair: tuple = (best, spread)) -> str:
            return ", ".join(format(_mean([run[key] for run in some]), form) for some in pair)

        rows.append(
            (
                record["cases"][case]["what"], f"{len(seeds)}", means("truth_area_shells", ".2f"),
                f"{sum(gain > 0 for gain in gains)}", f"{min(gains):+.2f} to {max(gains):+.2f}",
                means("truth_0.5_angstrom", ".1f"), means("median_rotation_error_deg", ".1f"),
                means("cpu_seconds", ".0f"),
            )
        )  # fmt: skip
    head = (
        "particles", "seeds", "FSC with the truth, summed over shells: best, posterior", "better in", "gain of a seed",
        "FSC 0.5, Å", "median error, deg", "CPU s",
    )  # fmt: skip
    return _table(head, rows)


def _posterior_alone() -> str:
    """Runs from particles alone, in pairs."""
    runs = [run for run in _read("posterior_averages")["runs"] if run["case"] == "1oel"]
    head = ("seed", "each particle at", "FSC 0.5, Å", "with true poses", "FSC 0.143 of halves, Å", "median error, deg")
    rows = [
        (
            f"{run['seed']}", run["arm"], f"{run['truth_0.5_angstrom']:.1f}",
            f"{run['oracle_truth_0.5_angstrom']:.1f}", f"{run['0.143_angstrom']:.1f}",
            f"{run['median_rotation_error_deg']:.1f}",
        )
        for run in runs
    ]  # fmt: skip
    return _table(head, rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _inexact_references() -> str:
    """Errors and how often ellipsoids hold the truth, by reference and noise; 95 % intervals in brackets."""
    measured = _read("inexact_references_seed301")
    count = measured["particles"]

    def held(row: Record, name: str) -> str:
        low, high = row[f"{name}_interval"]
        return f"{100 * row[name] / count:.1f} % ({100 * low:.1f} to {100 * high:.1f})"

    rows = [
        (
            f"{row['snr']:g}",
            row["reference"],
            *(f"{row[name]:.2f}°" for name in ("rms_rotation_error_deg", "expected_rms_rotation_error_deg")),
            *(f"{row[f'bound_with_{which}_reference_deg']:.2f}°" for which in ("this", "exact")),
            held(row, "inside_95_percent_ellipsoid"),
            held(row, "inside_without_common_offset"),
        )
        for row in measured["rows"]
    ]
    head = (
        "SNR", "reference", "rms error", "expected", "bound with this reference", "with the exact one",
        f"95 % ellipsoid holds the truth, of {count}", "common turn and shift out",
    )  # fmt: skip
    return _table(head, rows)


FIGURES: dict[str, Callable[[], str]] = {
    "accuracy": lambda: _alignment("align", "SNR", _snr),
    "boxes": lambda: _alignment("align_boxes", "box", lambda row: f"{row['box']}"),
    "real_map": lambda: _alignment("align_real_map", "SNR", _snr, "emd_3420_10.48A.mrc.gz"),
    "sharp_map": lambda: _alignment("align_sharp_map", "SNR", _snr, "sharp"),
    "candidates": lambda: _alignment("align_candidates", "candidates", lambda row: f"{row['candidates']}"),
    "tilts": lambda: _alignment("align_tilts", "tilts to, SNR", _tilt_and_snr),
    "symmetric": lambda: _alignment("align_tilts", "tilts to, SNR", _tilt_and_snr, "groel"),
    "sag": lambda: _alignment("align_sag", "method, SNR", lambda row: f"`{row['method']}`, {row['snr']:g}"),
    "inexact_references": _inexact_references,
    "methods": lambda: _comparison("figure6"),
    "optimizers": lambda: _comparison("optimizers"),
    "convergence": _convergence,
    "averaging": _averaging,
    "average_speed": _average_speed,
    "hard_cases": _hard_cases,
    "kept_transforms": _kept_transforms,
    "learned_search": _learned_search,
    "ribosomes": _ribosomes,
    "assignment_rules": _assignment_rules,
    "posterior_averages": _posterior_averages,
    "posterior_alone": _posterior_alone,
    "noise": _noise,
    "time_left": _time_left,
    "verdicts": _verdicts,
    "good_runs": _good_runs,
    "scaling": _scaling,
    "bench_align": lambda: _bench(_tasks("align"), {**_POSES, **_TIME}),
    "bench_average": lambda: _bench(
        _tasks("average"),
        {
            "truth_0.5_angstrom": "FSC 0.5 against the truth (Å)",
            "half_maps_0.143_angstrom": "FSC 0.143 of the halves (Å)",
            "within_10_deg": "within 10°",
            **_TIME,
        },
    ),
    "bench_classify": lambda: _bench(
        _tasks("classify"), {"adjusted_rand_index": "adjusted Rand index", "right_class": "right class", **_TIME}
    ),
    "bench_calibrate": lambda: _bench(
        _tasks("calibrate"),
        {
            "within_10_deg": "within 10°",
            "inside_50": "truth in the 50 % ellipsoid",
            "inside_95": "in the 95 % ellipsoid",
            "z_rms": "errors by their sigmas",
        },
    ),
}

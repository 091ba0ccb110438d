"""Comparison of records: every field filled or with a reason, verdicts from the scenario, refusals that say why."""

from __future__ import annotations

import numpy as np
import pytest

from emulab.backends.base import CurrentTrace
from emulab.compare.html import write_comparison
from emulab.compare.records import compact_rows, compare_records, comparison_rows, show
from emulab.energy.trace import write_csv
from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Provenance, Result, RunRecord, WindowRecord

BOARD = "nucleo-l4r5zi-p"
KEY = "mlperf-tiny-v1.3/NUCLEO-L4R5ZI-P"


def record(backend="unicorn", expectations=(), platform=BOARD, status="passed", **metrics):
    found = {"latency_s": Quantity(value=0.043, unit="s", uncertainty=0.0)}
    found.update(metrics)
    hashes = {k: found.pop(k) for k in ("firmware_sha256", "model_sha256", "artifacts", "windows") if k in found}
    result = Result(platform=platform, backend=backend, status=status, metrics=found, **hashes)
    scenario = {"name": "kws", "workload": {"name": "kws", "mlperf_id": "kws01"}, "expectations": list(expectations)}
    return RunRecord(scenario=scenario, provenance=Provenance(emulab="0"), results=[result])


def physical(**metrics):
    latency = Quantity(value=0.0434, unit="s", kind="measured", uncertainty=0.0002)
    return record("hardware", **{"latency_s": latency, **metrics})


def test_every_row_is_full_or_says_why():
    mine = record(
        cycles=Quantity(value=5.2e6, unit="cycle"),
        energy_per_inference_j=unavailable("J", "no power model"),
        power_w=Quantity(value=0.03, unit="W"),
    )
    theirs = physical(
        energy_per_inference_j=Quantity(value=1.4e-3, unit="J", uncertainty=1e-6), auc=Quantity(value=0.9)
    )
    comparison = compare_records(mine, theirs)
    rows = {row["metric"]: row for row in comparison_rows(comparison)}
    assert list(rows) == ["latency_s", "cycles", "energy_per_inference_j", "power_w", "auc"]
    assert rows["latency_s"]["deviation"] == "-0.92 %"
    assert rows["latency_s"]["sigmas"] == "2.0"
    assert rows["latency_s"]["physical"] == "43.4 ms ± 200 µs"
    assert rows["latency_s"]["verdict"] == "no tolerance"
    assert rows["energy_per_inference_j"]["reason"] == "emulated: no power model"
    assert "not in" in rows["cycles"]["reason"] and "not in the emulated run" in rows["auc"]["reason"]
    assert rows["latency_s"]["reason"] == "the scenario asks nothing of it"
    assert rows["power_w"]["emulated"] == "30 mW ± ?"
    for row in rows.values():
        assert row["reason"] or "-" not in (row["emulated"], row["physical"], row["deviation"])
    assert comparison.exit_code == 0
    compact, missing = compact_rows(comparison)
    assert [row["metric"] for row in compact] == ["latency_s"]
    assert missing[0] == "not in nucleo-l4r5zi-p/hardware: cycles, power_w"
    assert "verdict" in compact[0] and "reason" not in compact[0]


def test_repeats_that_differ_by_rounding_have_no_spread_to_count_in():
    mine = record(latency_s=Quantity(value=0.043, unit="s", uncertainty=1e-17))
    theirs = physical(latency_s=Quantity(value=0.0434, unit="s", uncertainty=2e-17))
    row = comparison_rows(compare_records(mine, theirs))[0]
    assert (row["sigmas"], row["emulated"], row["deviation"]) == ("-", "43 ms ± 0", "-0.92 %")


def test_levels_of_noise_are_one_line_unless_asked_for():
    noise = {f"accuracy_top1@snr_db={level}": Quantity(value=0.8) for level in (30, 20)}
    board_noise = {**noise, "accuracy_top1@snr_db=20": Quantity(value=0.75)}
    asked = [{"metric": "accuracy_top1@snr_db=30", "within": "5 %", "of": "physical"}]
    rows, lines = compact_rows(compare_records(record(expectations=asked, **noise), physical(**board_noise)))
    assert [row["metric"] for row in rows] == ["latency_s", "accuracy_top1@snr_db=30"]
    assert lines == ["accuracy_top1 at 1 levels of noise: +6.67 % at most"]


def test_two_emulated_runs_are_said_to_be_that():
    comparison = compare_records(record(), record())
    assert any("is emulated too" in note for note in comparison.notes)
    assert not any("is emulated too" in note for note in compare_records(record(), physical()).notes)
    assert comparison.sides == ("first", "second") and comparison.title.endswith("two runs")
    assert compare_records(record(), physical()).sides == ("emulated", "physical")
    assert compare_records(physical(), physical()).sides == ("first", "second")
    assert compare_records(record(), published=KEY).sides == ("emulated", "published")


def test_columns_are_headed_by_what_the_runs_are(tmp_path, capsys):
    from emulab.cli import main

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        record().write(tmp_path / name)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out.splitlines()
    heading = next(line for line in printed if "deviation" in line)
    assert "first" in heading and "second" in heading and "physical" not in heading
    page = (tmp_path / "a/compare.html").read_text()
    assert "<th>first</th><th>second</th>" in page and "Under noise" not in page


def test_levels_of_noise_stand_below_what_one_asks_first(tmp_path):
    noise = {f"accuracy_top1@snr_db={level}": Quantity(value=0.7, unit="1") for level in (10, 0)}
    page = write_comparison(compare_records(record(**noise), physical(**noise)), tmp_path).read_text()
    above, below = page.split("<h2>Under noise</h2>")
    assert "latency_s" in above and "snr_db" not in above.split("<table>")[1]
    assert below.split("</table>")[0].count("snr_db=") == 2 and "nothing of it" not in page


def test_shares_read_as_percent_and_lives_as_days():
    shown = [
        show(Quantity(value=0.86047, unit="1", uncertainty=0.0216), "accuracy_top1"),
        show(Quantity(value=2.3097e6, unit="s"), "battery_life_s"),
        show(Quantity(value=2.0e-5, unit="A", uncertainty=0.0), "mean_current_a"),
    ]
    assert shown == ["86.05 % ± 2.2 %", "27 days", "20 µA ± 0"]


@pytest.mark.parametrize(("within", "code"), [("1 %", 0), ("0.5 %", 1)])
def test_verdicts_come_from_the_scenario(within, code):
    asked = [{"metric": "latency_s", "within": within, "of": "physical"}]
    comparison = compare_records(record(expectations=asked), physical())
    assert comparison.exit_code == code
    assert comparison.rows[0].verdict == ("failed" if code else "passed")
    assert comparison.rows[0].bound == f"within {within} of physical"


def test_an_expectation_of_another_platform_does_not_apply():
    asked = [{"metric": "latency_s", "within": 0.0001, "of": "physical", "target": "other"}]
    assert compare_records(record(expectations=asked), physical()).exit_code == 0


def test_a_metric_that_was_asked_for_and_is_missing_is_said():
    asked = [{"metric": "auc", "within": 0.1, "of": "physical"}]
    row = next(r for r in compare_records(record(expectations=asked), physical()).rows if r.metric == "auc")
    assert (row.verdict, bool(row.message)) == ("unavailable", True)


def test_published():
    asked = [{"metric": "latency_s", "within": "5 %", "of": "published"}]
    comparison = compare_records(record(expectations=asked), published=KEY)
    assert comparison.rows[0].verdict == "passed"
    assert {"latency_s", "energy_per_inference_j", "power_w", "accuracy_top1"} <= {r.metric for r in comparison.rows}
    assert any("SMPS" in note for note in comparison.notes)


@pytest.mark.parametrize("what", ["firmware_sha256", "model_sha256"])
def test_different_firmware_or_model_is_refused(what):
    mine, theirs = record(**{what: "a" * 64}), physical(**{what: "b" * 64})
    with pytest.raises(InputError, match="--allow-different"):
        compare_records(mine, theirs)
    row = comparison_rows(compare_records(mine, theirs, allow_different=True))[0]
    assert (row["metric"], row["verdict"]) == (what.removesuffix("_sha256"), "different")
    assert (row["emulated"], row["physical"]) == ("a" * 12, "b" * 12)
    assert compare_records(mine, physical()).exit_code == 0


def test_nothing_to_compare():
    with pytest.raises(InputError, match="no platform in common; emulated: nucleo-l4r5zi-p; physical: other"):
        compare_records(record(), record("hardware", platform="other"))
    with pytest.raises(InputError, match="no physical result"):
        compare_records(record())
    with pytest.raises(InputError, match="no finished result"):
        compare_records(record(), record("hardware", status="error"))


def test_two_physical_runs_compare_too():
    asked = [{"metric": "latency_s", "within": "0.1 %", "of": "physical"}]
    again = record("replay", latency_s=Quantity(value=0.0436, unit="s"), expectations=asked)
    comparison = compare_records(again, physical())
    assert comparison.rows[0].verdict == "failed"


def test_one_record_with_both(tmp_path):
    mine, theirs = record(), physical()
    both = mine.model_copy(update={"results": [*mine.results, *theirs.results]})
    assert len(compare_records(both).rows) == 1


def test_html_aligns_traces_and_escapes(tmp_path):
    for name, start in (("e", 1.0), ("p", 7.0)):
        (tmp_path / name).mkdir()
        write_csv(CurrentTrace(start - 0.1, 1e-3, 0.01 + np.arange(300) * 1e-6), tmp_path / name / "t.csv")

    def windows(start):
        return [WindowRecord(name="inference", start_s=start, stop_s=start + 0.08, inferences=2)]

    trace = {"energy_trace": "t.csv"}
    mine, theirs = record(artifacts=trace, windows=windows(1.0)), physical(artifacts=trace, windows=windows(7.0))
    nasty = mine.results[0].model_copy(update={"metrics": {**mine.results[0].metrics, "<script>x": Quantity(value=1)}})
    comparison = compare_records(mine.model_copy(update={"results": [nasty]}), theirs)
    text = write_comparison(comparison, tmp_path / "out", tmp_path / "e", tmp_path / "p").read_text()
    assert "<script>x" not in text
    assert text.count('"name": "') == 2
    assert (tmp_path / "out" / "plotly.min.js").stat().st_size > 100_000
    from emulab.compare.html import aligned_trace

    for result, place in ((mine.results[0], "e"), (theirs.results[0], "p")):
        times, values, period = aligned_trace(result, tmp_path / place)
        assert period == pytest.approx(0.04)
        assert values[min(range(len(times)), key=lambda i: abs(times[i]))] == pytest.approx(0.0101)


def test_html_without_traces_says_so(tmp_path):
    text = write_comparison(compare_records(record(), physical()), tmp_path, tmp_path, tmp_path).read_text()
    assert "no current trace" in text
    assert "plotly" not in text


def test_a_run_without_a_meter_shows_its_modelled_current(tmp_path):
    from emulab.compare.modelled import modelled_trace

    windows = [WindowRecord(name="inference", start_s=2.0 + i, stop_s=2.08 + i, inferences=2) for i in range(2)]
    result = record(windows=windows, power_w=Quantity(value=0.03, unit="W")).results[0]
    (times, values, period), how = modelled_trace(result)
    assert how == "mean of each window"
    assert period == pytest.approx(0.04)
    assert times == pytest.approx([0.0, 0.08, 0.08])  # the second window starts after what is drawn
    assert values == pytest.approx([0.01, 0.01, None])  # 3 V
    comparison = compare_records(record(windows=windows, power_w=Quantity(value=0.03, unit="W")), physical())
    assert "mean of each window" in write_comparison(comparison, tmp_path, tmp_path, tmp_path).read_text()
    unknown = record(platform="no-such-board", windows=windows, power_w=Quantity(value=1.0)).results[0]
    assert modelled_trace(unknown)[0] is None


def test_an_emulated_run_is_drawn_by_its_layers(tmp_path):
    """Layers that multiply and read draw more than those that wait, each as long as its cycles; the mean stays the
    run's."""
    from emulab.compare.modelled import modelled_trace
    from emulab.model.record import LayerRow

    idle = dict.fromkeys(("ram_read", "ram_write", "flash_array_read"), 0)
    reads = idle | {"ram_read": 1_200_000}
    rows = [
        LayerRow(name="conv", cycles=3.6e6, executions=1, instruction_classes={"mac": 1_800_000}, activity=reads),
        LayerRow(name="pool", cycles=1.08e6, executions=1, instruction_classes={"load": 3000}, activity=idle),
        LayerRow(name="reshape", cycles=0, executions=0),
        LayerRow(name="(between layers)", cycles=0.12e6, activity=idle),
    ]
    window = WindowRecord(name="inference", start_s=1.0, stop_s=1.08, inferences=2, layers=rows)
    made = {"windows": [window], "power_w": Quantity(value=0.03, unit="W")}
    (times, values, period), how = modelled_trace(record(platform="nucleo-l4r5zi", **made).results[0])
    assert how == "modelled layer by layer" and period == pytest.approx(0.04)
    assert times == pytest.approx([0, 0.03, 0.03, 0.039, 0.039, 0.04, 0.04, 0.07, 0.07, 0.079, 0.079, 0.08, 0.08])
    conv, pool, rest = values[0], values[2], values[4]
    assert values == [conv, conv, pool, pool, rest, rest] * 2 + [None]
    assert conv > 1.1 * pool and pool == pytest.approx(rest)
    assert 0.75 * conv + 0.225 * pool + 0.025 * rest == pytest.approx(0.03 / 1.8)
    page = write_comparison(compare_records(record(**made), physical()), tmp_path, tmp_path, tmp_path)
    assert "layer by layer" in page.read_text()


def test_tolerances_of_the_command_line():
    from emulab.cli.verbs.compare import tolerances

    assert tolerances(["latency_s=0.5%", "auc=0.1"]) == {"latency_s": 0.005, "auc": 0.1}
    for wrong in ("latency_s", "latency_s=much", "=5%", "latency_s=-1"):
        with pytest.raises(InputError, match="expected METRIC=PART"):
            tolerances([wrong])
    asked = [{"metric": "latency_s", "of": "physical", "within": "5 %"}]
    assert compare_records(record(expectations=asked), physical()).exit_code == 0
    narrowed = compare_records(record(expectations=asked), physical(), within={"latency_s": 0.005})
    assert narrowed.exit_code == 1
    assert [row["verdict"] for row in comparison_rows(narrowed)] == ["failed"]
    with pytest.raises(InputError, match="--within latency: neither run has it; did you mean 'latency_s'"):
        compare_records(record(), physical(), within={"latency": 0.05})


def test_energy_mode_is_held_against_published_energy_mode():
    mine = record()
    mine.scenario["measure"] = {"modes": ["energy"]}
    row = compare_records(mine, published=KEY).rows[0]
    assert row.reference.value == pytest.approx(0.043516, rel=1e-4)
    assert compare_records(record(), published=KEY).rows[0].reference.value == pytest.approx(0.0434187, rel=1e-5)


def test_the_published_result_stands_beside_a_recording():
    mine = record()
    mine.scenario["published"] = {BOARD: KEY}
    notes = compare_records(mine, physical()).notes
    assert any("latency in performance mode 43.419 ms" in note and "in energy mode 43.516 ms" in note for note in notes)


def golden_record(variants, **hashes):
    """A record of several models on one board, as ``--golden`` leaves it: variant -> (model hash, latency)."""
    workload = {"name": "kws", "mlperf_id": "kws01", "model": "kws.tflite"}
    workload["variants"] = {name: {"model": f"models/kws_{name}.tflite"} for name in variants}
    results = [
        Result(
            platform=BOARD,
            backend="unicorn",
            variant=name,
            status="passed",
            metrics={"latency_s": Quantity(value=latency, unit="s")},
            model_sha256=model * 64,
            firmware_sha256=(model + "0") * 32,
        )
        for name, (model, latency) in variants.items()
    ]
    return RunRecord(scenario={"name": "kws", "workload": workload}, provenance=Provenance(emulab="0"), results=results)


def one_model(model="a", latency=0.043):
    hashes = {"model_sha256": model * 64, "firmware_sha256": (model + "0") * 32}
    found = record(latency_s=Quantity(value=latency, unit="s"), **hashes)
    found.scenario["workload"]["model"] = "asset:models/kws_int8.tflite"
    return found


def test_a_model_is_found_among_several_by_its_hash():
    several = golden_record({"quantised": ("a", 0.044), "float": ("b", 0.31)})
    comparison = compare_records(one_model(), several)
    assert [(pair.place, pair.name) for pair in comparison.pairs] == [
        (f"{BOARD}/unicorn", f"{BOARD}/unicorn/quantised")
    ]
    assert any("unicorn/float runs another model and was left out; --allow-different" in n for n in comparison.notes)
    back = compare_records(several, one_model())
    assert [pair.emulated.variant for pair in back.pairs] == ["quantised"]


def test_different_models_are_compared_on_purpose_and_a_row_says_so():
    several = golden_record({"quantised": ("a", 0.044), "float": ("b", 0.31)})
    comparison = compare_records(one_model(), several, allow_different=True)
    rows = comparison_rows(comparison)
    against = f"{BOARD}/unicorn against {BOARD}/unicorn/float"
    assert [row["platform"] for row in rows] == [against.replace("float", "quantised")] + 3 * [against]
    assert [row["metric"] for row in rows] == ["latency_s", "model", "firmware", "latency_s"]
    assert (rows[1]["emulated"], rows[1]["physical"], rows[1]["verdict"]) == (
        f"kws_int8.tflite {'a' * 12}",
        f"kws_float.tflite {'b' * 12}",
        "different",
    )
    assert (rows[3]["deviation"], rows[3]["verdict"]) == ("-86.13 %", "no tolerance")
    compact, _ = compact_rows(comparison)
    assert "different" in [row["verdict"] for row in compact]


def test_tolerances_hold_for_models_compared_on_purpose():
    mine = one_model()
    mine.scenario["expectations"] = [{"metric": "latency_s", "within": 0.05, "of": "physical"}]
    several = golden_record({"float": ("b", 0.31)})
    comparison = compare_records(mine, several, allow_different=True)
    assert comparison.rows[-1].verdict == "failed" and comparison.exit_code == 1


def test_nothing_in_common_says_what_there_is():
    several = golden_record({"float": ("b", 0.31)})
    with pytest.raises(InputError, match=r"no model in common; emulated: .*/unicorn; physical: .*/float.*--allow-diff"):
        compare_records(one_model(), several)
    with pytest.raises(InputError, match=r"the model differs: .*a{12} emulated, .*b{12} in"):
        compare_records(one_model(), one_model("b"))

# %% [markdown]
# # First steps with emulab's Python API
# A notebook in plain Python: run it cell by cell in an editor that knows `# %%`, or as a script.

# %%
import emulab

scenario = emulab.load("har-wearable", set=["measure.loops=1", "measure.accuracy_samples=2"])
run = emulab.run(scenario, platform="nucleo-l4r5zi")
assert run.ok
for name, quantity in run.metrics.items():
    print(f"{name:24} {quantity.value} {quantity.unit} ({quantity.kind})")

# %% [markdown]
# Where do the cycles go?

# %%
for layer in run.results[0].windows[0].layers:
    print(f"{layer.symbol or layer.name:36} {layer.cycles:10.0f} cycles, {(layer.stall_cycles or 0):8.0f} of them waiting")

# %% [markdown]
# How long does the battery last, if the wearer's hand is looked at less often?

# %%
table = emulab.sweep(
    "har-wearable",
    {"duty_cycle.period_s": [4, 8, 16, 32, 64]},
    platform="nucleo-l4r5zi",
    set=["measure.loops=1", "measure.accuracy_samples=2"],
    workers=1,
    output="runs/first-steps",
    resume=True,
)
for row in table.rows:
    print(f"every {row['duty_cycle.period_s']:4} s: {row['battery_life_s'] / 86400:6.1f} days")

"""Hardware-constrained search with emulab as the oracle: pip install optuna, then python optuna_search.py.

Optuna proposes a sensing period and a battery; emulab says how long the node lives. The same works for model variants
(`workload.model`), with the accuracy as a second objective: trials that do not fit the board are pruned.
"""

import optuna

import emulab
from emulab.errors import EmulabError

BASE = ["measure.loops=1", "measure.accuracy_samples=1"]


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Battery life in days (more is better) and reaction time in seconds (less is better)."""
    period_s = trial.suggest_float("period_s", 4.0, 600.0, log=True)
    battery = trial.suggest_categorical("battery", ["lipo-500", "cr2032"])
    values = [*BASE, f"duty_cycle.period_s={period_s}", f"duty_cycle.battery.type={battery}"]
    try:
        simulation = emulab.simulate("har-wearable", platform="nucleo-l4r5zi", set=values)
    except EmulabError as error:
        raise optuna.TrialPruned(str(error)) from None
    return (simulation.result.battery_life_s or 0.0) / 86400, period_s


if __name__ == "__main__":
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=1))
    study.optimize(objective, n_trials=30)
    for best in study.best_trials:
        print(best.params, best.values)

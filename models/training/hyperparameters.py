"""Search for better fields of a recipe (``optuna``, the extra ``search``): ``barometer search``.

Each trial trains by the recipe with other values, drawn by the tree-structured Parzen estimator (Bergstra et al. 2011)
from the ranges of a YAML file, and is worth its best dev summary. A trial that is below the median of earlier ones at
the same evaluation is given up. The study lies in ``study.db`` (SQLite) in the folder of the search, so a search that
was stopped goes on: a trial that was under way from its last checkpoint.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import yaml

from models.errors import TrainingDataError
from models.training.recipe import RECIPES, Recipe, load_recipe

log = structlog.get_logger(__name__)

SPACES = RECIPES / "search"
_STARTUP = 4
"""Trials that are carried to their end before any is given up."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """What a search has found so far."""

    trials: int
    """Finished and given up."""
    best: int | None
    """Number of the best trial."""
    score: float
    """Its dev summary."""
    recipe: Path
    """The best recipe as YAML, ready for ``barometer train``."""


def load_space(source: str | Path, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Ranges by field, from a file or a shipped one by its name.

    Raises:
        TrainingDataError: the file can't be read, a field is not the recipe's, or a range is malformed.
    """
    path = Path(source)
    if not path.exists() and (SPACES / f"{source}.yaml").exists():
        path = SPACES / f"{source}.yaml"
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as e:
        raise TrainingDataError(f"search: cannot read {path}: {e}") from e
    if not isinstance(raw, dict) or not raw:
        raise TrainingDataError(f"search: {path} must map fields of a recipe to ranges")
    fixed = ("name", "sets", "transfer", "topics_file", "sets_file")
    for name, of in raw.items():
        if name not in recipe.as_dict() or name in fixed:
            raise TrainingDataError(f"search: {path}: {name!r} is no field of a recipe that can be searched")
        known = set(of) if isinstance(of, dict) else set()
        if known == {"choices"} and isinstance(of["choices"], list) and of["choices"]:
            ends = of["choices"]
        elif {"low", "high"} <= known <= {"low", "high", "log", "step"} and _ordered(of):
            ends = [of["low"], of["high"]]
        else:
            raise TrainingDataError(
                f"search: {path}: {name} must be {{low: A, high: B}} with A below B (and log: true or step: S), or "
                f"{{choices: [...]}}, not {of!r}"
            )
        for value in ends:
            _with(recipe, {name: value})
    return raw


def _ordered(of: dict[str, Any]) -> bool:
    numbers = [of[k] for k in ("low", "high", "step") if k in of]
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in numbers):
        return False
    return bool(of["low"] < of["high"] and not (of.get("log") and (of["low"] <= 0 or "step" in of)))


def search(
    recipe: Recipe,
    space: dict[str, dict[str, Any]],
    data: Path,
    base: Path,
    out: Path,
    trials: int,
    patience: int = 0,
    threads: int = 1,
    report: Report | None = None,
    on_trial: Callable[[SearchProgress], None] | None = None,
) -> SearchProgress:
    """Go on until ``trials`` are finished or given up, or the last ``patience`` of them were no better.

    Args:
        out: of the search; ``study.db``, ``best.yaml``, ``trials.csv`` and a folder for each trial.
        patience: 0 is never.
        report: of each training, as for ``train_model``.
        on_trial: called after each trial.

    Raises:
        TrainingDataError: optuna is missing, ``out`` holds another search, or training can't start.
    """
    optuna = _optuna()
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{(out / 'study.db').resolve()}",
        study_name="search",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=recipe.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1),
    )
    same = json.dumps([recipe.as_dict(), space], sort_keys=True)
    if study.user_attrs.setdefault("of", same) != same:
        raise TrainingDataError(f"search: {out} is of another recipe or other ranges: choose another --out")
    study.set_user_attr("of", same)
    # A changed seed draws on where an earlier process stopped, instead of drawing its values again.
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))
    _take_up(study, optuna)
    while _done(study, optuna) < trials and not _idle(study, optuna, patience):
        trial = study.ask()
        values = {name: _suggest(trial, name, of) for name, of in space.items()}
        folder = out / "trials" / trial.user_attrs.get("folder", f"{trial.number:04d}")
        trial.set_user_attr("folder", folder.name)
        _run(study, trial, _with(recipe, values), data, base, folder, threads, report, optuna)
        _write(study, recipe, out, optuna)
        if on_trial:
            on_trial(found(study, out, optuna))
    return found(study, out, optuna)


def _run(
    study: Any,
    trial: Any,
    recipe: Recipe,
    data: Path,
    base: Path,
    folder: Path,
    threads: int,
    report: Report | None,
    optuna: Any,
) -> None:
    """Train one trial and tell the study. Ctrl-C leaves the trial as running, to be taken up again."""
    from models.training.fine_tuning import train_model

    evaluations = 0

    def watch(_: int, score: float) -> None:
        nonlocal evaluations
        trial.report(score, evaluations)
        evaluations += 1
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        facts = train_model(recipe, data, base, folder, threads, report, watch=watch)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        shutil.rmtree(folder, ignore_errors=True)
        return
    except Exception:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    if not any(s["dev"] for s in facts["sets"].values()):
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise TrainingDataError(f"search: the sets of recipe {recipe.name} have no dev texts to measure a trial on")
    study.tell(trial, max(h["dev"] for h in facts["history"]))
    for other in folder.parent.iterdir():  # the weights of all but the best are not needed any longer
        if other.name != study.best_trial.user_attrs["folder"]:
            (other / "best.pt").unlink(missing_ok=True)


def _take_up(study: Any, optuna: Any) -> None:
    """Trials that a stop left under way are queued again, with their values and their folder."""
    for old in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(old.number, state=optuna.trial.TrialState.FAIL)
        if old.params and "folder" in old.user_attrs:
            study.enqueue_trial(old.params, user_attrs={"folder": old.user_attrs["folder"]})
            log.info("goes on", trial=old.user_attrs["folder"])


def _suggest(trial: Any, name: str, of: dict[str, Any]) -> Any:
    if "choices" in of:
        return trial.suggest_categorical(name, of["choices"])
    low, high = of["low"], of["high"]
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=of.get("step", 1), log=of.get("log", False))
    return trial.suggest_float(name, low, high, step=of.get("step"), log=of.get("log", False))


def _finished(study: Any, optuna: Any) -> list[Any]:
    states = optuna.trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))


def _done(study: Any, optuna: Any) -> int:
    return len(_finished(study, optuna))


def _idle(study: Any, optuna: Any, patience: int) -> bool:
    trials = _finished(study, optuna)
    scored = [i for i, t in enumerate(trials) if t.value is not None]
    if not patience or not scored:
        return False
    return len(trials) - 1 - max(scored, key=lambda i: (trials[i].value, -i)) >= patience


def found(study: Any, out: Path, optuna: Any) -> SearchProgress:
    """Where the search stands."""
    scored = [t for t in _finished(study, optuna) if t.value is not None]
    best = max(scored, key=lambda t: t.value) if scored else None
    return SearchProgress(
        _done(study, optuna),
        best and best.number,
        best.value if best else 0.0,
        out / "best.yaml",
    )


def _write(study: Any, recipe: Recipe, out: Path, optuna: Any) -> None:
    """``best.yaml`` and ``trials.csv``, each whole at any time."""
    trials = _finished(study, optuna)
    rows = ["trial,state,dev," + ",".join(sorted(study.trials[0].params))]
    for t in trials:
        values = [t.params.get(k, "") for k in sorted(study.trials[0].params)]
        rows.append(
            ",".join(str(v) for v in (t.number, t.state.name.lower(), "" if t.value is None else t.value, *values))
        )
    _replace(out / "trials.csv", "\n".join(rows) + "\n")
    state = found(study, out, optuna)
    if state.best is None:
        return
    best = _with(recipe, study.trials[state.best].params)
    fields = {k: v for k, v in best.as_dict().items() if v is not None}
    for name in fields.keys() & {"sets_file", "topics_file"}:  # best.yaml lies elsewhere than the recipe
        fields[name] = str((best.path.parent / fields[name]).resolve())
    head = f"# Found by `barometer search`: trial {state.best} of {state.trials}, dev summary {state.score:.4f}.\n"
    _replace(out / "best.yaml", head + yaml.safe_dump(fields, allow_unicode=True, sort_keys=False))


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _with(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with other values, checked as if they stood in its file."""
    from dataclasses import replace

    if not recipe.path.is_file():
        return replace(recipe, **values)
    checked = load_recipe(recipe.path, values)
    return replace(recipe, **{k: getattr(checked, k) for k in values})


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as e:
        raise TrainingDataError(f"search: this needs optuna: pip install 'barometer[train,search]' ({e})") from e
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna

"""``barometer score | train | export | evaluate | gold``: mounted by ``app.cli``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from barometer.files import options
from models.errors import ModelError

app = typer.Typer(add_completion=False, no_args_is_help=True)

Model = Annotated[Path | None, typer.Option("--model", help="A model folder; the shipped one if left out.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="FIELD=VALUE in place of the recipe's, such as seed=21 or r_drop=1.0; repeat it."),
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Threads of the processor; 0: what is there, up to 4.")]


@app.command()
def score(
    file: Annotated[str, typer.Argument(help="A file of texts: CSV, JSONL, JSON, Parquet, .xlsx; - is stdin.")] = "-",
    map_: options.Map = [],  # noqa: B006
    set_: options.Set = [],  # noqa: B006
    keep: Annotated[list[str], typer.Option("--keep", help="A column to have in the output too; repeat it.")] = [],  # noqa: B006
    encoding: options.Encoding = "",
    form: options.Format = "",
    delimiter: options.Delimiter = "",
    escape: options.Escape = "",
    sheet: options.Sheet = "",
    model: Model = None,
    threads: Threads = 0,
    batch: Annotated[int, typer.Option(min=1, help="Lines held at a time.")] = 1024,
    backend: Annotated[str, typer.Option("--backend", help="auto (a GPU where there is one), onnx or torch.")] = "auto",
    processes: Annotated[
        int, typer.Option("--processes", min=0, help="With torch: processes that read and tokenise for the device.")
    ] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also what each word adds; some tenths of a second.")
    ] = False,
) -> None:
    """Label texts with sentiment and topics: one JSON line out for each line in, in order."""
    from barometer.files import Form
    from barometer.files.mapping import Columns, parse_pairs
    from barometer.files.tally import Tally
    from models.scoring.score_files import OWN, InputError, read_lines, score_lines, score_lines_in_bulk
    from models.scoring.scorer import load_scorer

    if taken := sorted({*keep} & {*OWN}):
        raise InputError(f"--keep {taken[0]}: the output has a field of that name")
    how = Form.from_options(encoding, form, delimiter, escape, sheet)
    columns = Columns(parse_pairs("--map", map_), parse_pairs("--set", set_))
    if processes and explain:
        raise InputError("score: --explain reads one text at a time: leave --processes out")
    scorer = load_scorer(model, threads or None, backend)
    tally = Tally()
    lines = read_lines(file, how, columns, keep=keep, say=_say, tally=tally)
    results = (
        score_lines_in_bulk(scorer, lines, max(batch, 4096), processes)
        if processes
        else score_lines(scorer, lines, batch, explain)
    )
    seen = unscored = 0
    last = began = time.monotonic()
    shown = sys.stderr.isatty()
    try:
        for result in results:
            sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
            seen += 1
            unscored += not result["scored"]
            if shown and time.monotonic() - last > 0.5:
                last = time.monotonic()
                sys.stderr.write(f"\r{seen:,} texts, {seen / (last - began):,.0f}/s ")
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python must not flush what nobody reads
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if shown:
        took = time.monotonic() - began
        sys.stderr.write(f"\r{seen:,} texts in {took:.1f} s, {unscored:,} unscored ({scorer.version})\n")
    for line in tally.lines(kind=False):
        _say(line)
    tally.check("stdin" if file == "-" else file, kind=False)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one: all, stated.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled sets.")],
    base: Annotated[Path, typer.Option("--base", help="An encoder's folder or hub name, or a model folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run that was stopped goes on there.")],
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    changes: Changes = None,
) -> None:
    """Train by a recipe. Then `barometer export` makes a model folder of the run."""
    _train(recipe, data, base, out, threads, [], changes)


@app.command()
def distill(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one: student-all, …")],
    teacher: Annotated[list[Path], typer.Option("--teacher", help="A training run or model folder; repeat it.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled sets and transfer texts.")],
    base: Annotated[Path, typer.Option("--base", help="The student's encoder: a folder or hub name, or a model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run that was stopped goes on there.")],
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    changes: Changes = None,
) -> None:
    """Train a small model on what larger ones say of labelled and unlabelled texts. Then `barometer export`."""
    _train(recipe, data, base, out, threads, teacher, changes)


@app.command()
def average(
    runs: Annotated[list[Path], typer.Argument(help="Finished training runs that began at the same encoder.")],
    out: Annotated[Path, typer.Option("--out", help="The new run; must not exist yet.")],
) -> None:
    """Make one run of several by the mean of their weights. Then `barometer export`."""
    _needs_torch()
    from models.training.averaging import average_runs

    average_runs(runs, out)
    print(out)


@app.command()
def pretrain(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one: all, stated.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the streams and labelled sets.")],
    base: Annotated[Path, typer.Option("--base", help="Folder or hub name of the pretrained encoder.")],
    out: Annotated[Path, typer.Option("--out", help="The new base folder; a run that was stopped goes on there.")],
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
) -> None:
    """Teach an encoder the language of the field by masked words on unlabelled texts, before `barometer train`."""
    _needs_torch()
    from models.training.pretraining import load_pretraining
    from models.training.pretraining import pretrain as run

    loaded = load_pretraining(recipe)
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading")
        run(
            loaded,
            data,
            base,
            out,
            threads,
            lambda step, steps, line: progress.update(task, completed=step, total=steps, description=line),
        )
    print(out)


@app.command()
def search(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one: all, stated.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled sets.")],
    base: Annotated[Path, typer.Option("--base", help="An encoder's folder or hub name, or a model folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the search; one that was stopped goes on there.")],
    trials: Annotated[int, typer.Option("--trials", min=1, help="So many trainings in all, those before a stop too.")],
    space: Annotated[str, typer.Option("--space", help="Ranges: a YAML file, or the shipped one.")] = "default",
    patience: Annotated[int, typer.Option("--patience", min=0, help="Stop after so many no better; 0: never.")] = 0,
    changes: Changes = None,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
) -> None:
    """Search for better values of a recipe's fields by training with many. Writes the best recipe as YAML."""
    _needs_torch()
    from models.training.hyperparameters import SearchProgress, load_space
    from models.training.hyperparameters import search as run
    from models.training.recipe import load_recipe

    loaded = load_recipe(recipe, _changed(changes))
    ranges = load_space(space, loaded)
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("reading")

            def told(state: SearchProgress) -> None:
                best = "none finished" if state.best is None else f"best {state.score:.4f} (trial {state.best})"
                progress.console.print(f"{state.trials}/{trials} trials, {best}")

            state = run(
                loaded,
                ranges,
                data,
                base,
                out,
                trials,
                patience,
                threads,
                lambda step, steps, line: progress.update(task, completed=step, total=steps, description=line),
                told,
            )
    except KeyboardInterrupt:
        sys.stderr.write("search: stopped; the same command goes on from here\n")
        raise typer.Exit(130) from None
    print(state.recipe)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder that `barometer train` left.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled sets: dev splits set the thresholds.")],
    out: Annotated[Path, typer.Option("--out", help="The model folder; must not exist yet.")],
    name: Annotated[str, typer.Option("--name", help="First part of the version.")] = "e5s12",
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    beside: Annotated[
        Path | None, typer.Option("--beside", help="figures.json of another model's evaluation, for the card.")
    ] = None,
    layers: Annotated[int | None, typer.Option("--layers", help="Keep so many layers, the first ones.")] = None,
    keep_layers: Annotated[str | None, typer.Option("--keep-layers", help="Keep these layers: 0,2,4.")] = None,
    vocabulary: Annotated[
        str | None, typer.Option("--vocabulary", help="Keep the pieces for a file of texts, or for a share of tokens.")
    ] = None,
    heads: Annotated[
        float | None, typer.Option("--heads", help="Keep this share of the attention heads, the important ones.")
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option("--measured", help="Of a run with held_out=false: the model of its recipe that held dev out."),
    ] = None,
) -> None:
    """Turn a training run into a model folder: integer weights, thresholds, figures, card. Prunes it where asked."""
    _needs_torch()
    from models.export.exporting import export_model
    from models.export.pruning import pruning_notes, read_pruning

    pruning = read_pruning(layers, keep_layers, vocabulary, heads)
    print(export_model(run, data, out, name, threads, beside, pruning, measured))
    if pruning:
        done = json.loads((out / "metrics.json").read_text("utf-8"))["pruning"]
        print("\n".join(f"  pruned: {line}" for line in pruning_notes(done)))


@app.command()
def evaluate(
    model: Annotated[Path | None, typer.Argument(help="A model folder; the shipped one if left out.")] = None,
    data: Annotated[list[str] | None, typer.Option("--data", help="A set's name, gold or a file; repeat it.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder of the labelled sets.")] = None,
    threads: Threads = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Save figures, report and pictures in this folder.")] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Beside them TF-IDF and logistic regression, trained on the same rows.")
    ] = False,
    behaviour: Annotated[
        bool, typer.Option("--behaviour", help="Also invariance and direction, on pairs of texts of our own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
    map_: options.Map = [],  # noqa: B006
    set_: options.Set = [],  # noqa: B006
    label: Annotated[
        list[str], typer.Option("--label", metavar="THEIRS=OURS", help="What a label of a file means: -1=negative.")
    ] = [],  # noqa: B006
    encoding: options.Encoding = "",
    form: options.Format = "",
    delimiter: options.Delimiter = "",
    escape: options.Escape = "",
    sheet: options.Sheet = "",
) -> None:
    """Measure a model on the dev splits of labelled sets, or on labelled files of your own."""
    from barometer.files import Form
    from barometer.files.mapping import parse_pairs
    from models.data.label_files import LabelForm, check_labels
    from models.data.sets import load_sets
    from models.evaluation.measuring import baseline_of, dev_of, trained_on_dev_of
    from models.evaluation.measuring import evaluate as measure
    from models.evaluation.report import markdown, save
    from models.scoring.scorer import load_scorer

    if baseline or out:
        _needs_torch()
    scorer = load_scorer(model, threads or None)
    names = data or (list(load_sets()) if folder else [])
    if not names and not behaviour:
        raise ModelError("evaluate: name what to measure on, with --data NAME_OR_FILE or --dir FOLDER_OF_SETS")
    given = Form.from_options(encoding, form, delimiter, escape, sheet)
    labels = check_labels(parse_pairs("--label", label))
    how = LabelForm(given, parse_pairs("--map", map_), parse_pairs("--set", set_), labels)
    examples = [e for name in names for e in dev_of(name, folder, scorer.topics, how, _say)]
    measured = measure(scorer, examples, intervals=True)
    if examples and not measured.examples:
        raise ModelError(f"evaluate: none of {len(examples):,} texts could be scored: are they Chinese or English?")
    if seen := sorted(set(names) & trained_on_dev_of(scorer.folder.path)):
        measured.found["trained_on"] = seen
    if behaviour:
        from models.behaviour import run, table

        measured.found["behaviour"] = table(run(scorer))
    if baseline:
        measured.found["baseline"] = {}
        for name in names:
            if folder and name in load_sets():
                sys.stderr.write(f"fitting the baseline of {name} ...\n")
                measured.found["baseline"][name] = baseline_of(name, folder, scorer.topics)
    if out:
        save(out, measured.found, measured.examples, measured.sentiment_logits)
    if as_json:
        print(json.dumps(measured.found, ensure_ascii=False, indent=1))
    else:
        print(markdown(measured.found))


def _changed(said: list[str] | None) -> dict[str, Any]:
    import yaml

    fields = {}
    for change in said or []:
        name, equals, value = change.partition("=")
        if not equals:
            raise ModelError(f"--set {change!r}: write FIELD=VALUE")
        fields[name.strip()] = yaml.safe_load(value)
    return fields


@app.command()
def gold(
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Describe the gold set: sizes, hard cases, and how far readers who saw the texts alone agree with its labels."""
    from models.evaluation.agreement import gold_report, markdown

    report = gold_report()
    print(json.dumps(report, ensure_ascii=False, indent=1) if as_json else markdown(report))


def _train(
    recipe: str, data: Path, base: Path, out: Path, threads: int, teachers: list[Path], changes: list[str] | None
) -> None:
    _needs_torch()
    from models.training.fine_tuning import train_model
    from models.training.recipe import load_recipe

    loaded = load_recipe(recipe, _changed(changes))
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading")
        train_model(
            loaded,
            data,
            base,
            out,
            threads,
            lambda step, steps, line: progress.update(task, completed=step, total=steps, description=line),
            teachers,
        )
    print(out)


def _needs_torch() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as e:
        raise ModelError(f"this needs the training install: pip install 'barometer[train]' ({e})") from e

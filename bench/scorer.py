"""How fast the scorer is on the processor, beside a transformers pipeline and beside the bare session.

    python -m bench.scorer [--model DIR] [--threads 2] [--rounds 5] [--texts 512] [--json]

For comments and for news, all texts different and the scorer's memory of repeats off, by turns in one process, medians
over rounds of texts a second of

- ``scorer``: ``Scorer.score`` as the worker calls it: preparing, language, tokenising, network, results;
- ``pipeline``: transformers' own ``TextClassificationPipeline`` over the same weights in float32 (rebuilt from the
  folder), with transformers' tokenizer, at batch sizes 1, 8 and 32; the best counts. A text that is read in several
  windows is given to it as so many texts;
- ``bare``: the tokenizer and ``session.run`` alone, on the very batches that the scorer makes.

Then, in a fresh process: time to load, and the memory that loading and scoring take. Exit code 1 if something is short
of what the model must do: 2.5 times the pipeline, at most 1.15 times the bare time, under 2 s, 800 MB and 60 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from barometer.vocabulary import KINDS, SENTIMENTS
from bench.stream_texts import message
from models.folder import DEFAULT_MODEL, ModelFolder, read_folder
from models.scoring.scorer import Scorer, load_scorer
from models.text.encoding import batches, encode_windows, pad, padded_length, prepare

PIPELINE_BATCHES = (1, 8, 32)
MUST = {"times_pipeline": 2.5, "times_bare": 1.15, "load_s": 2.0, "memory_mb": 800.0, "folder_mb": 60.0}

_FRESH = """
import json, sys, time
began = time.perf_counter()
from models.scoring.scorer import load_scorer
imported = time.perf_counter()
scorer = load_scorer(sys.argv[1], int(sys.argv[2]))
loaded = time.perf_counter()
def most():  # of this program: getrusage would give what the process was before it became it
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
before = most()
from bench.scorer import stream
for kind in ("comment", "news"):
    of_kind = stream(kind, 2000)
    scorer.score([m["text"] for m in of_kind], [kind] * 2000, titles=[m.get("title") for m in of_kind])
print(json.dumps({"import_s": imported - began, "load_s": loaded - imported, "loaded_mb": before,
                  "memory_mb": most()}))
"""


def stream(kind: str, n: int, seed: int = 11) -> list[dict[str, Any]]:
    """The first ``n`` messages of a kind: all different, seven of ten Chinese."""
    share = 1.0 if kind == "news" else 0.0
    seen: set[str] = set()
    made = (m for m in (message(i, seed, share) for i in count()) if not (m["text"] in seen or seen.add(m["text"])))
    return list(islice(made, n))


def by_turns(contenders: dict[str, Callable[[], object]], rounds: int, texts: int) -> dict[str, float]:
    """Median texts a second of each, run one after the other so that a slow moment of the machine meets them all."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()  # warm: thread pools, allocators
    for _ in range(rounds):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return {name: texts / statistics.median(t) for name, t in took.items()}


def bare(scorer: Scorer, lines: Sequence[str], kind: str) -> Callable[[], object]:
    """Tokenising and ``session.run``, nothing else; on batches as the scorer makes them."""
    folder, backend, code = scorer.folder, scorer.backend, KINDS.index(kind)
    session: Any = backend._session  # type: ignore[attr-defined]

    def run() -> None:
        windows = encode_windows(scorer._tokenizer, lines, folder.max_tokens, folder.windows)
        ids = [w for of_text in windows for w in of_text]
        for rows in batches([len(x) for x in ids], backend.token_budget):
            kinds = np.full(len(rows), code, np.int64)
            session.run(None, {"ids": pad([ids[i] for i in rows], folder.pad_id), "kinds": kinds})

    return run


def pipeline(folder: ModelFolder, kind: str) -> Callable[[Sequence[str], int], list[Any]]:
    """(texts, batch size) → what transformers' pipeline says of them, with the folder's weights in float32."""
    import torch
    from transformers import BertPreTrainedModel, PreTrainedTokenizerFast, TextClassificationPipeline
    from transformers.modeling_outputs import SequenceClassifierOutput
    from transformers.utils import logging

    from models.graph.rebuild import rebuild

    logging.set_verbosity(logging.CRITICAL)  # it doesn't know the class below, and lists all that it knows
    rebuilt, code = rebuild(folder), KINDS.index(kind)

    class Classifier(BertPreTrainedModel):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.network = rebuilt

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
            weights = attention_mask.unsqueeze(-1).float()
            types = torch.full_like(input_ids, code)
            hidden = rebuilt.encoder(input_ids, attention_mask=attention_mask, token_type_ids=types).last_hidden_state
            pooled = (hidden * weights).sum(1) / weights.sum(1)
            return SequenceClassifierOutput(logits=torch.cat([rebuilt.sentiment(pooled), rebuilt.topics(pooled)], 1))

    config = rebuilt.encoder.config
    config.id2label = dict(enumerate([*SENTIMENTS, *folder.topics]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder.path / "tokenizer.json"),
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(folder.pad_id)
    made = TextClassificationPipeline(model=Classifier(config).eval(), tokenizer=tokenizer, device="cpu")
    options = {"truncation": True, "max_length": folder.max_tokens, "top_k": None, "function_to_apply": "none"}
    return lambda texts, size: made(list(texts), batch_size=size, **options)


def windows_as_texts(scorer: Scorer, lines: Sequence[str]) -> list[str]:
    """What the network reads of the lines, window by window."""
    made = []
    for line in lines:
        first = scorer._tokenizer.encode(line)
        for window in [first, *first.overflowing[: scorer.folder.windows - 1]]:
            places = [o for o, s in zip(window.offsets, window.special_tokens_mask, strict=True) if not s]
            made.append(line[places[0][0] : places[-1][1]])
    return made


def measure(model: Path, threads: int, rounds: int, texts: int) -> dict[str, Any]:
    """The figures of a model folder, by kind of text."""
    import torch

    torch.set_num_threads(threads)
    scorer = load_scorer(model, threads)
    scorer._cache_size = 0
    found: dict[str, Any] = {
        "version": scorer.version,
        "layers": scorer.folder.encoder["num_hidden_layers"],
        "threads": threads,
    }
    for kind in ("comment", "news"):
        messages = stream(kind, texts)
        bodies, titles = [m["text"] for m in messages], [m.get("title") for m in messages]
        lines = [prepare(t, h) for t, h in zip(bodies, titles, strict=True)]
        pieces = windows_as_texts(scorer, lines)
        through = pipeline(scorer.folder, kind)
        _agrees(scorer, through, lines, kind)
        contenders: dict[str, Callable[[], object]] = {
            "scorer": lambda b=bodies, h=titles, k=kind: scorer.score(b, [k] * len(b), titles=h),
            "bare": bare(scorer, lines, kind),
        }
        for size in PIPELINE_BATCHES:
            contenders[f"pipeline_{size}"] = lambda p=pieces, s=size, t=through: t(p, s)
        rates = by_turns(contenders, rounds, texts)
        best = max(v for k, v in rates.items() if k.startswith("pipeline"))
        lengths = [
            len(w)
            for of_text in encode_windows(scorer._tokenizer, lines, scorer.folder.max_tokens, scorer.folder.windows)
            for w in of_text
        ]
        found[kind] = {
            "tokens_median": statistics.median(lengths),
            "windows_a_text": round(len(lengths) / texts, 2),
            "padding": round(1 - sum(lengths) / sum(map(padded_length, lengths)), 4),
            "texts_a_second": {k: round(v, 1) for k, v in rates.items()},
            "times_pipeline": round(rates["scorer"] / best, 2),
            "times_bare": round(rates["bare"] / rates["scorer"], 3),
        }
    return found


def _agrees(
    scorer: Scorer, through: Callable[[Sequence[str], int], list[Any]], lines: Sequence[str], kind: str
) -> None:
    """The pipeline is the same model: its probabilities are the scorer's but for the rounding of integers."""
    sample = [x for x in lines[:200] if not scorer._tokenizer.encode(x).overflowing][:64]
    apart = []
    for said, ours in zip(through(sample, 8), scorer.score_prepared(sample, kind, "zh"), strict=True):
        of = {row["label"]: row["score"] for row in said}
        e = np.exp(np.array([of[s] for s in SENTIMENTS]) / scorer.folder.temperature("zh", kind))
        apart.append(np.abs(e / e.sum() - ours.sentiment_probabilities).max())
    if np.mean(apart) > 0.06:
        raise SystemExit(f"pipeline and scorer differ by {np.mean(apart):.2f} on average: not the same model")


def fresh(model: Path, threads: int) -> dict[str, float]:
    """Seconds to load and MB of memory, in a process of its own that has nothing but the scorer."""
    done = subprocess.run(
        [sys.executable, "-c", _FRESH, str(model), str(threads)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found: dict[str, float] = {k: round(v, 2) for k, v in json.loads(done.stdout).items()}
    found["folder_mb"] = round(sum(f.stat().st_size for f in model.iterdir()) / 1e6, 1)
    return found


def short_of(found: dict[str, Any]) -> list[str]:
    """What is not as it must be, in words."""
    short = []
    for kind in ("comment", "news"):
        if found[kind]["times_pipeline"] < MUST["times_pipeline"]:
            short.append(f"{kind}: {found[kind]['times_pipeline']} times the pipeline")
        if found[kind]["times_bare"] > MUST["times_bare"]:
            short.append(f"{kind}: {found[kind]['times_bare']} times the bare time")
    return short + [f"{k} {found['process'][k]}" for k in MUST if found["process"].get(k, 0) > MUST[k]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    read_folder(given.model)
    found = measure(given.model, given.threads, given.rounds, given.texts)
    found["process"] = fresh(given.model, given.threads)
    short = short_of(found)
    if given.json:
        print(json.dumps(found | {"short": short}, indent=1))
    else:
        print(f"{found['version']}: {found['layers']} layers, {given.threads} threads")
        for kind in ("comment", "news"):
            f = found[kind]
            rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in f["texts_a_second"].items())
            print(
                f"{kind}: {f['tokens_median']:.0f} tokens, {f['windows_a_text']} windows a text, padding "
                f"{f['padding']:.1%}; texts a second: {rates}; {f['times_pipeline']} × the best pipeline, "
                f"{f['times_bare']} × the bare time"
            )
        p = found["process"]
        print(
            f"loaded in {p['load_s']} s (imports {p['import_s']} s), {p['memory_mb']:.0f} MB of memory, "
            f"folder {p['folder_mb']} MB"
        )
        print("short: " + "; ".join(short) if short else "all as it must be")
    sys.exit(bool(short))


if __name__ == "__main__":
    main()

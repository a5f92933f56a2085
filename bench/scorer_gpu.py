"""Texts a second on a GPU: device only and end to end, beside a transformers pipeline with the same weights.

    python -m bench.scorer_gpu [--model DIR | --run DIR] [--tokens 48] [--texts 400000] [--processes 12]

Device only: token ids lie on the device, the packed network runs over them. End to end: texts in, results out
(``models.scoring.bulk``), with reading and tokenising in processes of their own. The pipeline tokenises, pads and runs
as transformers users do, in bf16, at its best batch size. The ceiling is the rate of one large bf16 matrix product
measured in the same run. Every text is another; each is cut from texts of our own templates to so many tokens.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from bench.stream_texts import message
from models.folder import read_folder
from models.graph.rebuild import rebuild
from models.network import Network
from models.scoring.backends import TorchBackend
from models.scoring.bulk import BulkScorer, Chunk
from models.scoring.packed import Packed, PackedNetwork, pack
from models.scoring.scorer import Scorer
from models.text.encoding import load_tokenizer, prepare

CHUNK = 4096


def texts_of(tokenizer: Tokenizer, tokens: int, count: int) -> list[str]:
    """Different texts of so many tokens (special ones included, give or take one where a word is cut)."""
    made: list[str] = []
    number = 0
    while len(made) < count:
        lines = []
        for _ in range(min(8192, count - len(made))):
            line = ""
            while len(line) < tokens * 8:
                m = message(number)
                line += prepare(m["text"], m.get("title")) + " "
                number += 1
            lines.append(f"{number} {line}")
        for line, e in zip(lines, tokenizer.encode_batch(lines), strict=True):
            made.append(line[: e.offsets[min(tokens, len(e.ids)) - 2][1]])
    return made


def ceiling(device: str) -> float:
    """TFLOP/s of a bf16 matrix product of 8192 cubed, random data."""
    n = 8192
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b, 10) / 1e12


def seconds(run: Callable[[], Any], times: int) -> float:
    """Median device time of a call, by events, after three for warming up."""
    for _ in range(3):
        run()
    spent = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        spent.append(begin.elapsed_time(end) / 1000)
    return statistics.median(spent)


def operations(network: Network, lengths: np.ndarray) -> float:
    """Floating-point operations of the linear layers and of attention for texts of these lengths."""
    c = network.encoder.config
    tokens, squares = float(lengths.sum()), float((lengths.astype(float) ** 2).sum())
    linear = 2 * tokens * (4 * c.hidden_size**2 + 2 * c.hidden_size * c.intermediate_size)
    return float(c.num_hidden_layers * (linear + 4 * squares * c.hidden_size))


def pipeline_rate(network: Network, tokenizer_file: Path, texts: list[str], device: str) -> tuple[float, int]:
    """(texts a second, batch size) of tokeniser, padding, forward pass and probabilities, as transformers does it."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file), pad_token="<pad>")
    if tokenizer.pad_token_id != network.pad_id:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(network.pad_id)
    half = network.to(device, torch.bfloat16)
    half.sentiment.float()
    half.topics.float()
    best = (0.0, 0)
    with torch.inference_mode():
        for size in (32, 128, 512, 2048):
            part = texts[: min(len(texts), max(16 * size, 4096))]
            for warm in (True, False):
                began = time.perf_counter()
                for k in range(0, min(len(part), 2 * size) if warm else len(part), size):
                    batch = tokenizer(
                        part[k : k + size],
                        padding=True,
                        truncation=True,
                        max_length=192,
                        return_tensors="pt",
                        return_token_type_ids=False,
                    )
                    kinds = torch.ones(len(batch["input_ids"]), dtype=torch.long, device=device)
                    s, t = half(batch["input_ids"].to(device), kinds)
                    s.softmax(-1).tolist(), t.sigmoid().tolist()
                took = time.perf_counter() - began
            best = max(best, (len(part) / took, size))
    return best


def agreement(network: Network, packed: PackedNetwork, ids: list[list[int]], device: str) -> tuple[float, float]:
    """(share of equal sentiment labels, 99th percentile of |Δp|) of bf16 on the device against float32 on the CPU."""
    lengths, kinds = np.array([len(x) for x in ids], np.int32), np.ones(len(ids), np.int64)
    exact = PackedNetwork(network.float().cpu(), torch.float32)
    with torch.inference_mode():
        want = [
            torch.cat(x)
            for x in zip(
                *(
                    exact(pack(ids[k : k + 64], lengths[k : k + 64], kinds[k : k + 64], "cpu"))
                    for k in range(0, len(ids), 64)
                ),
                strict=True,
            )
        ]
        got = [x.cpu() for x in packed(pack(ids, lengths, kinds, device))]
    equal = (want[0].argmax(-1) == got[0].argmax(-1)).float().mean().item()
    moved = torch.cat(
        [
            (want[0].softmax(-1) - got[0].softmax(-1)).abs().flatten(),
            (want[1].sigmoid() - got[1].sigmoid()).abs().flatten(),
        ]
    )
    return equal, float(np.quantile(moved.numpy(), 0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; the shipped one if left out")
    parser.add_argument("--run", type=Path, help="a training run in place of a model folder")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--texts", type=int, default=400_000)
    parser.add_argument("--processes", type=int, default=max(1, len(os.sched_getaffinity(0)) - 3))
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--sample", type=Path, help="texts, one a line, for the agreement with float32")
    args = parser.parse_args()
    device = "cuda"
    if not torch.cuda.is_available():
        raise SystemExit("no GPU here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} processors", flush=True)
    folder = read_folder(args.model)
    if args.run:
        from models.training.runs import load_run

        network: Network = load_run(args.run, len(folder.topics))
    else:
        network = rebuild(folder)
    tokenizer_file = (args.run or folder.path) / "tokenizer.json"
    tokenizer = load_tokenizer(tokenizer_file, 192)

    unique = min(args.texts, 60_000)  # enough for every chunk of a second to be another
    texts = texts_of(tokenizer, args.tokens, unique)
    ids = [e.ids for e in tokenizer.encode_batch_fast(texts[:16384])]
    lengths = np.array([len(x) for x in ids], np.int32)
    print(f"{unique} texts of {lengths.mean():.1f} tokens (sd {lengths.std():.1f})", flush=True)
    top = ceiling(device)
    print(f"ceiling: {top:.0f} TFLOP/s", flush=True)

    backend = TorchBackend(folder, device, copy.deepcopy(network))
    packed = backend.network
    if args.sample:
        lines = args.sample.read_text("utf-8").splitlines()
        equal, moved = agreement(network, packed, [e.ids for e in tokenizer.encode_batch_fast(lines)], device)
        print(
            f"bf16 against float32 on the CPU, {len(lines)} texts: {equal:.4f} equal labels, p99 |dp| {moved:.4f}",
            flush=True,
        )

    def rate(net: Any, count: int) -> str:
        batch: Packed = pack(ids[:count], lengths[:count], np.ones(count, np.int64), device)
        with torch.inference_mode():
            took = seconds(lambda: net(batch), 10)
        share = operations(network, lengths[:count]) / took / 1e12 / top
        return (
            f"{count / took:,.0f} texts/s, {share:.0%} of the ceiling ({int(lengths[:count].sum()):,} tokens a batch)"
        )

    for count in (1024, 4096, 16384):
        print(f"device only: {rate(packed, count)}; padding 0 %", flush=True)
    if args.compile:
        began = time.perf_counter()
        compiled = torch.compile(packed, dynamic=True)
        print(f"device only, compiled: {rate(compiled, 4096)}", flush=True)
        print(
            f"device only, compiled: {rate(compiled, 16384)}; {time.perf_counter() - began:.0f} s to compile",
            flush=True,
        )

    chunks = [Chunk(texts[k : k + CHUNK], ["news"] * len(texts[k : k + CHUNK])) for k in range(0, unique, CHUNK)]
    with BulkScorer(Scorer(folder, backend), args.processes) as bulk:
        for _ in bulk.score(chunks * 2):  # the processes load what they need
            pass
        began = time.perf_counter()
        done = sum(len(r) for r in bulk.score(chunks * max(1, args.texts // unique)))
        took = time.perf_counter() - began
    with torch.inference_mode():
        batch = pack(ids[:CHUNK], lengths[:CHUNK], np.ones(CHUNK, np.int64), device)
        busy = seconds(lambda: packed(batch), 5) * done / CHUNK
    print(
        f"end to end: {done / took:,.0f} texts/s with {args.processes} reading processes; device at work "
        f"{busy / took:.0%} of the time",
        flush=True,
    )
    found, size = pipeline_rate(network, tokenizer_file, texts, device)
    print(
        f"transformers pipeline: {found:,.0f} texts/s at its best batch size, {size}; end to end is "
        f"{done / took / found:.1f} times that",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""Make a trained network smaller before it is exported: fewer layers, fewer pieces of the vocabulary, fewer heads.

Everything is removed structurally, so the graph, the rebuilt network and the file shrink alike; nothing is zeroed.

- Layers: the kept ones follow each other (Sajjad et al. 2023, arXiv 2004.03844: the upper ones are missed least).
- Vocabulary: pieces that a corpus doesn't need lose their embeddings and their place in ``tokenizer.json``; a text that
  needed one is spelled with smaller pieces. Pieces of one character stay for all characters of the corpus.
- Heads: those with the least importance |∂L/∂ξ| go, ξ being a factor of the head's output, averaged over the dev texts
  and normalised by layer (Michel et al. 2019, arXiv 1905.10650). Every layer keeps one.

A network that lost much should learn again: train with the exported folder as ``--base``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.errors import ModelError
from models.network import Network, narrow_attention
from models.text.encoding import batches, encode, pad
from models.training.objectives import Tensors, losses
from models.training.recipe import Recipe

_HELD_OUT = 10
"""Every tenth text of the corpus is kept from counting, and measures what the smaller vocabulary covers."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to stay of a network; None leaves it whole."""

    layers: tuple[int, ...] | None = None
    """Numbers of the layers, from 0 at the embeddings."""
    vocabulary: Path | float | None = None
    """A file of texts whose pieces stay, or the share of the training texts' tokens that stay whole."""
    heads: float | None = None
    """Share of the attention heads."""

    def __bool__(self) -> bool:
        return self != Pruning()


WHOLE = Pruning()


def read_pruning(layers: int | None, keep_layers: str | None, vocabulary: str | None, heads: float | None) -> Pruning:
    """From the options of ``barometer export``.

    Raises:
        ModelError: an option is out of its range, or two contradict each other; the message names it.
    """
    if layers is not None and keep_layers:
        raise ModelError("export: give --layers or --keep-layers, not both")
    kept: tuple[int, ...] | None = None if layers is None else tuple(range(layers))
    if keep_layers:
        try:
            kept = tuple(int(n) for n in keep_layers.split(","))
        except ValueError:
            raise ModelError(
                f"export: --keep-layers is numbers with commas, such as 0,2,4, not {keep_layers!r}"
            ) from None
    if kept is not None and (not kept or list(kept) != sorted(set(kept)) or kept[0] < 0):
        raise ModelError("export: --layers needs at least 1; --keep-layers numbers from 0, each once and ascending")
    texts: Path | float | None = None
    if vocabulary is not None:
        try:
            texts = float(vocabulary)
            if not 0.5 <= texts <= 1:
                raise ModelError(f"export: --vocabulary as a share must be between 0.5 and 1, not {vocabulary}")
        except ValueError:
            texts = Path(vocabulary)
            if not texts.is_file():
                raise ModelError(f"export: --vocabulary {vocabulary} is neither a share nor a file of texts") from None
    if heads is not None and not 0 < heads <= 1:
        raise ModelError(f"export: --heads is the share that stays, above 0 and at most 1, not {heads}")
    return Pruning(kept, texts, heads)


def keep_layers(network: Network, kept: Sequence[int]) -> None:
    """Drop all other layers. Raises ModelError if there is no such layer."""
    config: Any = network.encoder.config
    depth = config.num_hidden_layers
    if kept[-1] >= depth:
        raise ModelError(f"export: the network has layers 0 to {depth - 1}; layer {kept[-1]} cannot be kept")
    stack = network.encoder.encoder
    heads = heads_of(network)
    stack.layer = nn.ModuleList([stack.layer[k] for k in kept])
    config.num_hidden_layers = len(kept)
    _note_heads(network, [heads[k] for k in kept])


def heads_of(network: Network) -> list[int]:
    """Attention heads of each layer."""
    return [int(layer.attention.self.num_attention_heads) for layer in network.encoder.encoder.layer]  # type: ignore[union-attr,arg-type]


def head_importance(network: Network, data: Tensors, recipe: Recipe) -> list[np.ndarray]:
    """Mean |∂L/∂ξ| of each head over the texts, each layer's divided by its Euclidean norm; an array a layer."""
    network.eval()
    layers: Any = network.encoder.encoder.layer
    counts = heads_of(network)
    total = [np.zeros(n) for n in counts]
    factors: list[Tensor] = []

    def scaled(k: int) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
            x = given[0]
            return ((x.unflatten(-1, (counts[k], -1)) * factors[k]).flatten(-2),)

        return hook

    hooks = [layer.attention.output.dense.register_forward_pre_hook(scaled(k)) for k, layer in enumerate(layers)]
    try:
        for rows in batches([len(x) for x in data.ids], 4096):
            factors[:] = [torch.ones(len(rows), 1, n, 1, requires_grad=True) for n in counts]
            ids = torch.from_numpy(pad([data.ids[i] for i in rows], network.pad_id))
            said: tuple[Tensor, Tensor] = network(ids, torch.from_numpy(data.kinds[rows]))
            of_sentiment, of_topics = losses(*said, data, rows, recipe)
            # A loss is a mean over the batch: times its size, so that every text weighs the same.
            loss = (of_sentiment + recipe.topic_weight * of_topics) * len(rows)
            for k, grad in enumerate(torch.autograd.grad(loss, factors)):
                total[k] += grad.abs().sum(0).flatten().double().numpy()
    finally:
        for hook in hooks:
            hook.remove()
    return [t / max(1e-12, float(np.linalg.norm(t))) for t in total]


def keep_heads(network: Network, importance: Sequence[np.ndarray], share: float) -> list[int]:
    """Remove the least important heads until ``share`` of all stay, one a layer at least; return heads a layer."""
    counts = [len(x) for x in importance]
    wanted = max(len(counts), round(share * sum(counts)))
    ranked = sorted(((float(v), k, h) for k, x in enumerate(importance) for h, v in enumerate(x)), reverse=True)
    first = {(k, int(np.argmax(x))) for k, x in enumerate(importance)}
    kept = set(first)
    for _, k, h in ranked:
        if len(kept) < wanted:
            kept.add((k, h))
    for k, layer in enumerate(network.encoder.encoder.layer):
        narrow_attention(layer, [h for h in range(counts[k]) if (k, h) in kept])
    left = heads_of(network)
    _note_heads(network, left)
    return left


def _note_heads(network: Network, heads: Sequence[int]) -> None:
    """Say in the configuration what a new network of this shape needs to know."""
    config: Any = network.encoder.config
    whole = all(n == config.num_attention_heads for n in heads)
    config.heads_per_layer = None if whole else list(heads)


def needed_pieces(tokenizer: Tokenizer, lines: Sequence[str], max_tokens: int, share: float = 1.0) -> list[int]:
    """Ids of the pieces that stay, ascending: the commonest that make up ``share`` of the tokens of the lines.

    Markers, and the single characters of every piece that occurs, stay in any case.
    """
    counts = Counter(i for ids in encode(tokenizer, lines, max_tokens) for i in ids)
    enough, kept, seen = share * sum(counts.values()), set(), 0
    for i, n in counts.most_common():
        if seen >= enough:
            break
        kept.add(i)
        seen += n
    kept |= set(tokenizer.get_added_tokens_decoder())
    vocabulary = tokenizer.get_vocab()
    characters = {c for i in counts for c in tokenizer.id_to_token(i) or ""} | {chr(c) for c in range(33, 127)}
    kept |= {vocabulary[p] for c in characters for p in (c, f"##{c}", "▁" + c) if p in vocabulary}
    kept |= {vocabulary[p] for p in ("▁", "<unk>", "[UNK]", "<pad>", "[PAD]", "<s>", "</s>") if p in vocabulary}
    return sorted(kept)


def cut_tokenizer(text: str, kept: Sequence[int]) -> str:
    """``tokenizer.json`` with the pieces of these ids alone, numbered anew in their order.

    Of a BPE model, what a kept piece is merged from stays too. Raises ModelError for a kind of model not known here.
    """
    raw = json.loads(text)
    model = raw["model"]
    kind = model.get("type")
    if kind == "BPE":
        kept = _with_parts(model, kept)
    number = {old: new for new, old in enumerate(kept)}
    if kind == "Unigram":
        model["vocab"] = [model["vocab"][i] for i in kept if i < len(model["vocab"])]
        model["unk_id"] = None if model["unk_id"] is None else number[model["unk_id"]]
    elif kind in ("WordPiece", "WordLevel", "BPE"):
        model["vocab"] = {piece: number[i] for piece, i in model["vocab"].items() if i in number}
        if kind == "BPE":
            pairs = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
            stay = model["vocab"].keys()
            model["merges"] = [p for p in pairs if p[0] in stay and p[1] in stay and p[0] + p[1] in stay]
    else:
        raise ModelError(f"export: --vocabulary cannot cut a tokenizer of the kind {kind!r}")
    for token in raw.get("added_tokens", []):
        token["id"] = number[token["id"]]
    raw["post_processor"] = _renumbered(raw.get("post_processor"), number)
    raw["padding"] = raw["truncation"] = None
    return json.dumps(raw, ensure_ascii=False)


def _with_parts(model: dict[str, Any], kept: Sequence[int]) -> list[int]:
    """The ids with those of all pieces that theirs are merged from."""
    vocabulary: dict[str, int] = model["vocab"]
    names = {i: p for p, i in vocabulary.items()}
    parts: dict[str, list[str]] = {}
    for merge in model["merges"]:
        pair = merge if isinstance(merge, list) else merge.split(" ")
        parts.setdefault("".join(pair), pair)
    found, waiting = set(kept), [names[i] for i in kept if i in names]
    while waiting:
        for part in parts.get(waiting.pop(), ()):
            if vocabulary[part] not in found:
                found.add(vocabulary[part])
                waiting.append(part)
    return sorted(found)


def _renumbered(part: Any, number: dict[int, int]) -> Any:
    """A post-processor with the new ids of its markers."""
    if part is None:
        return None
    kind = part.get("type")
    if kind == "TemplateProcessing":
        for token in part["special_tokens"].values():
            token["ids"] = [number[i] for i in token["ids"]]
    elif kind in ("BertProcessing", "RobertaProcessing"):
        for name in ("sep", "cls"):
            part[name] = [part[name][0], number[part[name][1]]]
    elif kind == "Sequence":
        part["processors"] = [_renumbered(p, number) for p in part["processors"]]
    elif kind != "ByteLevel":
        raise ModelError(f"export: --vocabulary doesn't know the tokenizer's post-processor {kind!r}")
    return part


def keep_pieces(network: Network, before: Tokenizer, after: Tokenizer) -> None:
    """The embeddings of the smaller tokenizer's pieces, in its order."""
    config: Any = network.encoder.config
    old = [before.token_to_id(after.id_to_token(i) or "") for i in range(after.get_vocab_size())]
    words = network.encoder.embeddings.word_embeddings
    pad_id = after.token_to_id(before.id_to_token(network.pad_id) or "") or 0
    network.encoder.embeddings.word_embeddings = nn.Embedding.from_pretrained(
        words.weight.detach()[old].clone(), freeze=False, padding_idx=pad_id
    )
    config.vocab_size, config.pad_token_id, network.pad_id = len(old), pad_id, pad_id


def coverage(before: Tokenizer, after: Tokenizer, lines: Sequence[str], max_tokens: int) -> dict[str, Any]:
    """On texts: the share that both tokenisers cut alike, and the growth in tokens and in unknown pieces."""
    unknown = [t.token_to_id(n) for t in (before, after) for n in ("<unk>", "[UNK]")]
    alike, tokens, unknowns = 0, [0, 0], [0, 0]
    for a, b in zip(encode(before, lines, max_tokens), encode(after, lines, max_tokens), strict=True):
        alike += [before.id_to_token(i) for i in a] == [after.id_to_token(i) for i in b]
        for side, ids in enumerate((a, b)):
            tokens[side] += len(ids)
            unknowns[side] += sum(i in unknown[2 * side : 2 * side + 2] for i in ids)
    return {
        "texts": len(lines),
        "cut_alike": round(alike / max(1, len(lines)), 4),
        "tokens": [*tokens],
        "unknown": [*unknowns],
    }


def corpus_of(pruning: Pruning, training: Sequence[str]) -> list[str]:
    """Prepared lines that say which pieces are needed: of the named file, else those of training."""
    if not isinstance(pruning.vocabulary, Path):
        return list(training)
    from models.scoring.score_files import read_lines
    from models.text.encoding import prepare

    lines = [prepare(x.text, x.title) for x in read_lines(str(pruning.vocabulary)) if x.reason is None]
    if not lines:
        raise ModelError(f"export: --vocabulary {pruning.vocabulary} holds no text")
    return lines


def prune(
    network: Network, tokenizer: Path, pruning: Pruning, training: Sequence[str], dev: Tensors, recipe: Recipe
) -> tuple[str, dict[str, Any]]:
    """Prune a network in place: layers, then heads, then vocabulary.

    Args:
        tokenizer: of the network; it is not changed.
        training: prepared lines, for a vocabulary by share.
        dev: what the heads' importance is measured on; may be empty unless heads are pruned.

    Returns:
        The text of the (smaller) tokenizer.json, and what was done, for ``metrics.json``.
    """
    from models.text.encoding import load_tokenizer

    done: dict[str, Any] = {"parameters": [_size(network)]}
    text = tokenizer.read_text("utf-8")
    if pruning.layers is not None:
        done["layers"] = {"of": network.encoder.config.num_hidden_layers, "kept": list(pruning.layers)}
        keep_layers(network, pruning.layers)
    if pruning.heads is not None:
        if not dev.ids:
            raise ModelError(
                "export: --heads needs dev texts to measure which heads matter; the recipe's sets have none"
            )
        of = sum(heads_of(network))
        left = keep_heads(network, head_importance(network, dev, recipe), pruning.heads)
        done["heads"] = {"of": of, "kept": left}
    if pruning.vocabulary is not None:
        whole = load_tokenizer(tokenizer, recipe.max_tokens)
        lines = corpus_of(pruning, training)
        counted = [x for i, x in enumerate(lines) if i % _HELD_OUT]
        held_out = lines[::_HELD_OUT]
        share = pruning.vocabulary if isinstance(pruning.vocabulary, float) else 1.0
        text = cut_tokenizer(text, needed_pieces(whole, counted or lines, recipe.max_tokens, share))
        smaller = Tokenizer.from_str(text)
        smaller.enable_truncation(max_length=recipe.max_tokens)
        of = network.encoder.config.vocab_size
        keep_pieces(network, whole, smaller)
        done["vocabulary"] = {
            "of": of,
            "kept": smaller.get_vocab_size(),
            "held_out": coverage(whole, smaller, held_out, recipe.max_tokens),
        }
    done["parameters"].append(_size(network))
    return text, done


def _size(network: Network) -> int:
    return sum(p.numel() for p in network.parameters())


def pruning_notes(done: dict[str, Any]) -> list[str]:
    """What was pruned and what it cost, a line each; for the card and the terminal."""
    lines = []
    if "layers" in done:
        kept = ", ".join(map(str, done["layers"]["kept"]))
        lines.append(f"layers {kept} of {done['layers']['of']} (from 0)")
    if "heads" in done:
        heads = done["heads"]["kept"]
        lines.append(f"{sum(heads)} of {done['heads']['of']} attention heads, by layer {', '.join(map(str, heads))}")
    if "vocabulary" in done:
        v, held = done["vocabulary"], done["vocabulary"]["held_out"]
        lines.append(
            f"{v['kept']:,} of {v['of']:,} pieces; of {held['texts']:,} texts held out {held['cut_alike']:.1%} are "
            f"cut as before, unknown pieces {held['unknown'][0]} → {held['unknown'][1]} of {held['tokens'][1]:,}"
        )
    before, after = done["parameters"]
    lines.append(f"{before / 1e6:.2f} → {after / 1e6:.2f} M parameters")
    if "summary" in done:
        whole, pruned = done["summary"]
        lines.append(f"mean F1 on dev in float32, without training again: {whole:.4f} → {pruned:.4f}")
    return lines

"""Domain-adaptive pretraining (Gururangan et al. 2020, arXiv 2004.10964): masked words on unlabelled financial text.

Reads from top to bottom: texts, masking, network, epochs. What it leaves is a base folder that training starts from.
Masking is BERT's (Devlin et al. 2019, arXiv 1810.04805): of the chosen pieces 80 % become the mask, 10 % another
piece, 10 % stay.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
import yaml
from torch import Tensor, nn
from transformers import BertModel

from barometer.records import normalise
from models.data.sets import read_split, rows_of
from models.errors import TrainingDataError
from models.folder import LABELS
from models.text.encoding import batches, encode, load_tokenizer, pad, prepare
from models.training.bases import find_base
from models.training.fine_tuning import Report
from models.training.recipe import RECIPES
from models.training.runs import save_atomically

log = structlog.get_logger(__name__)

_IGNORED = -100
_SPECIAL = range(4)  # ids of markers, never masked, where the tokenizer doesn't say which are
_REPORT_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class PretrainingRecipe:
    """See ``recipes/pretraining/all.yaml``."""

    name: str
    texts: dict[str, dict[str, Any]]
    sets: list[str] = field(default_factory=list)
    layers: int = 6
    max_tokens: int = 64
    tokens_per_batch: int = 2048
    texts_per_batch: int = 128
    learning_rate: float = 3e-4
    warmup_share: float = 0.05
    mask_share: float = 0.15
    epochs: int = 1
    seed: int = 20


def load_pretraining(source: str | Path) -> PretrainingRecipe:
    """A recipe from a file or by a shipped name (``all``, ``stated``). Raises TrainingDataError, naming the field."""
    path = Path(source)
    shipped = RECIPES / "pretraining" / f"{source}.yaml"
    path = shipped if not path.exists() and shipped.exists() else path
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as e:
        raise TrainingDataError(f"pretraining: cannot read {path}: {e}") from e
    known = {f.name for f in fields(PretrainingRecipe)}
    if not isinstance(raw, dict) or not isinstance(raw.get("texts"), dict) or "name" not in raw or set(raw) - known:
        raise TrainingDataError(
            f"pretraining: {path} must have name and texts, and of other fields only {sorted(known)}"
        )
    return PretrainingRecipe(**raw)


def gather_texts(recipe: PretrainingRecipe, data: Path) -> list[str]:
    """All texts of the recipe, prepared as for scoring, each once; texts of the sets' dev splits are left out.

    Raises:
        TrainingDataError: a file or its column is missing.
    """
    held_out: set[str] = set()
    lines: dict[str, str] = {}
    for name in recipe.sets:
        train, dev = read_split(name, data)
        held_out.update(normalise(e.text) for e in dev)
        lines.update((normalise(e.text), prepare(e.text, e.title)) for e in train)
    for pattern, options in recipe.texts.items():
        files = sorted(data.glob(pattern))
        if not files:
            raise TrainingDataError(f"pretraining: no file {pattern} under {data}")
        try:
            found = [row[options["column"]] for f in files for row in rows_of(f)]
        except KeyError as e:
            raise TrainingDataError(f"pretraining: {pattern} has no column {e}") from e
        random.Random(f"{recipe.seed}:{pattern}").shuffle(found)
        lines.update((normalise(t), prepare(t)) for t in found[: options.get("sample", len(found))])
    return [line for key, line in lines.items() if key and key not in held_out]


def mask(
    ids: np.ndarray,
    vocabulary: int,
    mask_id: int,
    share: float,
    rng: np.random.Generator,
    special: Sequence[int] = _SPECIAL,
) -> tuple[np.ndarray, np.ndarray]:
    """(input ids, targets) of padded ids (texts, tokens); a target of -100 is not asked for. ``special``: markers."""
    chosen = (rng.random(ids.shape) < share) & ~np.isin(ids, list(special))
    targets = np.where(chosen, ids, _IGNORED)
    how = rng.random(ids.shape)
    masked = np.where(chosen & (how < 0.8), mask_id, ids)
    other = rng.integers(len(_SPECIAL), vocabulary - 1, ids.shape)
    return np.where(chosen & (how >= 0.8) & (how < 0.9), other, masked), targets


class MaskedWords(nn.Module):
    """BERT's head: a dense layer, then the word embeddings themselves as the output layer."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, ids: Tensor, attention: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the pieces asked for; ids, attention and targets are (texts, tokens)."""
        hidden = self.encoder(ids, attention_mask=attention).last_hidden_state[targets != _IGNORED]
        hidden = self.norm(nn.functional.gelu(self.dense(hidden)))
        logits = nn.functional.linear(hidden, self.encoder.embeddings.word_embeddings.weight, None) + self.bias
        return nn.functional.cross_entropy(logits.float(), targets[targets != _IGNORED])


def pretrain(
    recipe: PretrainingRecipe, data: Path, base: Path, out: Path, threads: int = 1, report: Report | None = None
) -> dict[str, Any]:
    """Go on training ``base`` on masked words; leave a base folder in ``out``. A stopped run goes on.

    Raises:
        TrainingDataError: texts or base are missing, or ``out`` holds a run of another recipe.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    base_name, base = base.name, find_base(base, out, recipe.layers, recipe.max_tokens)
    if (base / LABELS).is_file():
        raise TrainingDataError(f"base model: {base} is a model folder; masked words need a pretrained encoder")
    out.mkdir(parents=True, exist_ok=True)
    started = time.time()

    # Texts as pieces
    tokenizer = load_tokenizer(base / "tokenizer.json", recipe.max_tokens)
    mask_id = tokenizer.token_to_id("<mask>") or tokenizer.token_to_id("[MASK]")
    if mask_id is None:
        raise TrainingDataError(f"base model: the tokenizer of {base} has no mask")
    special = [i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special] or _SPECIAL
    lines = gather_texts(recipe, data)
    ids = encode(tokenizer, lines, recipe.max_tokens)
    log.info("read", texts=len(ids), tokens=sum(map(len, ids)))

    # Network, and where an earlier process stopped
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = BertModel.from_pretrained(
        base, num_hidden_layers=recipe.layers, add_pooling_layer=False, dtype=torch.float32
    )
    network = MaskedWords(encoder).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    schedule = _schedule(ids, recipe)
    steps = len(schedule)
    warmup = max(1, int(steps * recipe.warmup_share))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / warmup, max(0.02, (steps - s) / max(1, steps - warmup)))
    )
    first, history = 0, []
    checkpoint = out / "checkpoint.pt"
    same = json.dumps(asdict(recipe) | {"steps": steps}, sort_keys=True)
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["recipe"] != same:
            raise TrainingDataError(f"{checkpoint} is of another recipe or other data: choose another --out")
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        rate.load_state_dict(saved["rate"])
        first, history = saved["step"], json.loads(saved["history"])
        log.info("going on from the checkpoint", step=first, of=steps)

    # Steps
    pad_id = int(encoder.config.pad_token_id or 0)
    began, running, reported = time.time(), torch.zeros((), device=device), 0.0
    network.train()
    for step in range(first, steps):
        padded = pad([ids[i] for i in schedule[step]], pad_id)
        rng = np.random.default_rng([recipe.seed, step])
        given, targets = mask(padded, encoder.config.vocab_size, mask_id, recipe.mask_share, rng, special)
        if (targets == _IGNORED).all():
            continue
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = network(*(torch.from_numpy(x).to(device) for x in (given, (padded != pad_id).astype(int), targets)))
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad(set_to_none=True)
        running += (loss.detach() - running) / min(100, step - first + 1)
        if report and (time.time() - reported > _REPORT_EVERY or step + 1 == steps):  # each waits for the device
            reported = time.time()
            eta = (time.time() - began) / (step + 1 - first) * (steps - step - 1) / 60
            report(step + 1, steps, f"loss {running.item():.3f}, {eta:.1f} min to go")
        if (step + 1) % 200 == 0:
            history.append({"step": step + 1, "loss": round(running.item(), 4)})
            log.info("pretraining", step=step + 1, of=steps, loss=round(running.item(), 3))
            save_atomically(
                checkpoint,
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "rate": rate.state_dict(),
                    "step": step + 1,
                    "history": json.dumps(history),
                    "recipe": same,
                },
            )

    # What the run leaves: a base folder
    encoder.config.num_hidden_layers = recipe.layers
    encoder.save_pretrained(out)
    shutil.copyfile(base / "tokenizer.json", out / "tokenizer.json")
    facts = {
        "recipe": asdict(recipe),
        "base": base_name,
        "texts": len(ids),
        "history": history,
        "seconds": round(time.time() - started),
    }
    (out / "pretraining.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    checkpoint.unlink(missing_ok=True)
    shutil.rmtree(out / "base", ignore_errors=True)
    return facts


def _schedule(ids: Sequence[Sequence[int]], recipe: PretrainingRecipe) -> list[list[int]]:
    schedule: list[list[int]] = []
    for epoch in range(recipe.epochs):
        rng = random.Random(recipe.seed * 1000 + epoch)
        rows = list(range(len(ids)))
        rng.shuffle(rows)
        made = [
            [rows[k] for k in b]
            for b in batches([len(ids[i]) for i in rows], recipe.tokens_per_batch, recipe.texts_per_batch)
        ]
        rng.shuffle(made)
        schedule += made
    return schedule

"""Fine-tune one network by a recipe. Reads from top to bottom: data, network, probe, epochs, best checkpoint.

LP-FT (Kumar et al. 2022, arXiv 2202.10054): the heads first learn on the frozen encoder, then everything is tuned.
A sentiment label that allows several classes is trained on their summed probability; masked topics weigh nothing.
``average`` keeps a running mean of the weights (Polyak and Juditsky 1992), which is what is measured and saved.
A run that was stopped goes on from its last checkpoint when started again with the same folder.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import structlog
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from models.data.sets import SETS_FILE, Example, load_sets, read_split, whole_set
from models.errors import TrainingDataError
from models.evaluation.figures import by_set, summary
from models.folder import LABELS, read_folder
from models.labels import load_topics
from models.network import Network, network_from_base, prepare_for_training
from models.scoring.encoding import batches, load_tokenizer, pad
from models.training.augmentation import augmented
from models.training.bases import find_base, is_run
from models.training.objectives import Tensors, divergence, losses, perturbed, to_tensors
from models.training.provenance import origin, teacher
from models.training.recipe import Recipe
from models.training.tuning import limit_tuning, merged

log = structlog.get_logger(__name__)

_OURS = {
    "own": "The project's own texts", "rehearsal": "The project's own rehearsal set",
    "composed": "Texts from the project's own grammar",
}  # fmt: skip

_AVERAGE_EVERY = 4
"""Steps between two weights that enter the running average: each costs a pass over all weights."""

_REPORT_EVERY = 0.5
"""Seconds between two reports: each waits for the device."""

Report = Callable[[int, int, str], None]
"""(step, steps, a line): called every half a second and after the last step."""


def gather(recipe: Recipe, data: Path) -> tuple[list[tuple[Example, dict[str, Any]]], list[Example], dict[str, Any]]:
    """Training examples with their set's options, dev examples, and what was read (for the card).

    A recipe with ``held_out: false`` trains on the dev splits too and has no dev examples.
    """
    train: list[tuple[Example, dict[str, Any]]] = []
    dev: list[Example] = []
    read: dict[str, Any] = {}
    described = load_sets(recipe.beside(recipe.sets_file) or SETS_FILE)
    for name, options in recipe.sets.items():
        own_train, own_dev = (
            read_split(name, data, sets=described) if recipe.held_out else (whole_set(name, data, described), [])
        )
        train += [(e, options) for e in augmented(own_train, recipe.augment, recipe.seed)]
        dev += own_dev
        about = described.get(name, {"about": _OURS.get(name, name), "licence": "the project's"})
        read[name] = {
            "about": about["about"], "licence": about["licence"], "train": len(own_train), "dev": len(own_dev),
        }  # fmt: skip
        log.info("read", set=name, train=len(own_train), dev=len(own_dev))
    for name, size in shown_an_epoch({name: of["train"] for name, of in read.items() if of["train"]}, recipe).items():
        read[name]["an_epoch"] = size
    if not train:
        raise TrainingDataError(f"recipe {recipe.name}: its sets hold no training text")
    return train, dev, read


def epoch_rows(train: Sequence[tuple[Example, dict[str, Any]]], recipe: Recipe, epoch: int) -> list[int]:
    """Which examples an epoch shows: a fresh sample of the large sets, repeats of the small ones."""
    by_source: dict[str, list[int]] = {}
    for i, (e, _) in enumerate(train):
        by_source.setdefault(e.source, []).append(i)
    sizes = shown_an_epoch({name: len(indices) for name, indices in by_source.items()}, recipe)
    rows: list[int] = []
    for name, indices in by_source.items():
        order = indices[:]
        random.Random(f"{recipe.seed}:{name}").shuffle(order)
        start = (epoch * sizes[name]) % len(order)  # successive epochs walk on through a large set
        rows += [order[(start + k) % len(order)] for k in range(sizes[name])]
    return rows


def shown_an_epoch(held: dict[str, int], recipe: Recipe) -> dict[str, int]:
    """How many texts of each set an epoch shows: its sample times its repeats, evened out by the sampling temperature.

    A temperature t makes the shares of the sets those of n to the power of 1 / t (Devlin et al. 2018, multilingual
    BERT; t = 1 leaves them); the sum stays.
    """
    options = {name: recipe.sets.get(name, {}) for name in held}
    sizes = {name: min(o.get("sample", held[name]), held[name]) * o.get("repeat", 1) for name, o in options.items()}
    if recipe.sampling_temperature == 1:
        return sizes
    powers = {name: n ** (1 / recipe.sampling_temperature) for name, n in sizes.items()}
    scale = sum(sizes.values()) / sum(powers.values())
    return {name: max(1, round(scale * power)) for name, power in powers.items()}


def train_model(
    recipe: Recipe, data: Path, base: Path, out: Path, threads: int = 1, report: Report | None = None,
    teachers: Sequence[Path] = (), watch: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train; leave ``best.pt``, ``tokenizer.json`` and ``training.json`` in ``out``, and return what the last one says.

    Args:
        base: folder of a pretrained BERT or its name on the hub (``models.training.bases``), or a model folder or a
            finished run to go on from (then its own layers are kept and the heads are not probed).
        threads: of torch on the CPU; a GPU is used where there is one.
        teachers: training runs or model folders to learn from as well (``models.training.distillation``).
        watch: called with (step, dev summary) after every evaluation; what it raises ends the run, which can go on.

    Raises:
        TrainingDataError: a set or the base model is missing or malformed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    base_name, base = base.name, find_base(base, out, recipe.layers, recipe.max_tokens)
    goes_on = (base / LABELS).is_file() or is_run(base)
    started = time.time()
    topics = [t.id for t in load_topics(recipe.beside(recipe.topics_file))]
    tokenizer = load_tokenizer(base / "tokenizer.json", recipe.max_tokens)
    train, dev, read = gather(recipe, data)
    if teachers:
        from models.training.distillation import taught

        train = taught(train, dev, teachers, topics, recipe, data, out / "teachers.npz")
    train_set = to_tensors([e for e, _ in train], tokenizer, topics, recipe.max_tokens)
    dev_set = to_tensors(dev, tokenizer, topics, recipe.max_tokens)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if goes_on:
        network = _network_to_go_on_from(base, topics, recipe)
    else:
        network = network_from_base(base, recipe.layers, len(topics), recipe.dropout)
    network = prepare_for_training(network, device)
    network.encoder.embeddings.word_embeddings.weight.requires_grad = not recipe.freeze_word_embeddings
    network = limit_tuning(network, recipe.tuning, recipe.lora_rank)
    schedule = _schedule(train, train_set, recipe)
    groups = _parameter_groups(network, recipe)
    optimizer = torch.optim.AdamW(groups, fused=True)  # one pass over the weights: a tenth of a step on a CPU
    trained = [p for g in groups for p in g["params"]]
    steps = len(schedule)
    warmup = max(1, int(steps * recipe.warmup_share))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / warmup, max(0.02, (steps - s) / max(1, steps - warmup)))
    )

    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average)) if recipe.average else None

    state: dict[str, Any] = {"step": 0, "best": -1.0, "since_best": 0, "history": []}
    checkpoint = out / "checkpoint.pt"
    same = recipe.as_dict() | {"steps": steps}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["recipe"] != json.dumps(same, sort_keys=True):
            raise TrainingDataError(f"{checkpoint} is of another recipe or other data: choose another --out")
        network.load_state_dict(saved["network"])
        if averaged is not None:
            averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        rate.load_state_dict(saved["rate"])
        torch.set_rng_state(saved["rng"].cpu())
        if device.type == "cuda":
            torch.cuda.set_rng_state(saved["device_rng"].cpu(), device)
        state = json.loads(saved["state"])
        log.info("going on from the checkpoint", step=state["step"], of=steps)
    elif not goes_on:
        _probe(network, train_set, recipe, device)

    board = SummaryWriter(str(out / "tensorboard"))
    every = max(1, steps // (recipe.epochs * recipe.evaluations_per_epoch))
    rng = np.random.default_rng([recipe.seed, state["step"]])
    began, first, told = time.time(), state["step"], 0.0
    while state["step"] < steps:
        rows = schedule[state["step"]]
        network.train()
        out_ = _forward(network, train_set, rows, device, recipe, rng)
        sentiment_loss, topic_loss = losses(*out_, train_set, rows, recipe)
        loss = sentiment_loss + recipe.topic_weight * topic_loss
        if recipe.r_drop:
            again = _forward(network, train_set, rows, device, recipe, rng)
            second = losses(*again, train_set, rows, recipe)
            loss = (loss + second[0] + recipe.topic_weight * second[1]) / 2 + recipe.r_drop * divergence(out_, again)
        (loss / recipe.accumulate).backward()
        if recipe.fgm:
            with perturbed(network.encoder.embeddings.word_embeddings, recipe.fgm):
                attacked = losses(*_forward(network, train_set, rows, device, recipe, rng), train_set, rows, recipe)
                ((attacked[0] + recipe.topic_weight * attacked[1]) / recipe.accumulate).backward()
        if (state["step"] + 1) % recipe.accumulate == 0 or state["step"] + 1 == steps:
            nn.utils.clip_grad_norm_(trained, recipe.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        rate.step()
        state["step"] += 1
        if averaged is not None and (state["step"] % _AVERAGE_EVERY == 0 or state["step"] == steps):
            averaged.update_parameters(network)
        if state["step"] % 20 == 0:
            board.add_scalar("loss/sentiment", sentiment_loss.item(), state["step"])
            board.add_scalar("loss/topics", topic_loss.item(), state["step"])
        if report and (time.time() - told > _REPORT_EVERY or state["step"] == steps):
            told = time.time()
            eta = (told - began) / (state["step"] - first) * (steps - state["step"])
            line = f"loss {sentiment_loss.item():.3f} + {topic_loss.item():.3f}, {eta / 60:.1f} min to go"
            report(state["step"], steps, line)
        if state["step"] % every == 0 or state["step"] == steps:
            learnt = network if averaged is None else cast(Network, averaged.module)
            if dev:
                logits = predict(learnt, dev_set, device, recipe)
                score = summary(by_set(dev, topics, *logits))
            else:
                score = float(state["step"])
            board.add_scalar("dev/summary", score, state["step"])
            better = score > state["best"]
            state["best"] = max(score, state["best"])
            state["since_best"] = 0 if better else state["since_best"] + 1
            state["history"].append({"step": state["step"], "dev": round(score, 4)})
            log.info("evaluated", step=state["step"], of=steps, dev=round(score, 4), best=round(state["best"], 4))
            if better:
                save_atomically(
                    out / "best.pt",
                    {"network": merged(learnt).state_dict(), "config": network.encoder.config.to_json_string()},
                )
            save_atomically(checkpoint, {
                "network": network.state_dict(), "optimizer": optimizer.state_dict(), "rate": rate.state_dict(),
                "averaged": None if averaged is None else averaged.state_dict(),
                "rng": torch.get_rng_state(),
                "device_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
                "state": json.dumps(state), "recipe": json.dumps(same, sort_keys=True),
            })  # fmt: skip
            if watch:
                watch(state["step"], score)
            if state["since_best"] >= recipe.patience:
                log.info("stopped early", step=state["step"])
                break

    board.close()
    facts = {
        "recipe": recipe.as_dict(), "topics": topics, "sets": read,
        "history": state["history"], "seconds": round(time.time() - started),
        "recipe_path": str(recipe.path), "taught_by": [teacher(t) for t in teachers],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU",
        "parameters": sum(p.numel() for p in network.parameters()),
    } | origin(base, base_name)  # fmt: skip
    (out / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    (out / "training.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    checkpoint.unlink(missing_ok=True)
    shutil.rmtree(out / "base", ignore_errors=True)
    return facts


def predict(network: Network, data: Tensors, device: torch.device, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Logits of sentiment (n, 3) and topics (n, t), in the order of the data."""
    network.eval()
    sentiment = np.zeros(data.allowed.shape, np.float32)
    topics = np.zeros(data.topic_target.shape, np.float32)
    with torch.inference_mode():
        for rows in batches([len(x) for x in data.ids], 4096 if device.type == "cpu" else 65_536):
            s, t = _forward(network, data, rows, device, recipe, None)
            sentiment[rows], topics[rows] = s.cpu().numpy(), t.cpu().numpy()
    return sentiment, topics


def _forward(
    network: Network, data: Tensors, rows: Sequence[int], device: torch.device, recipe: Recipe,
    rng: np.random.Generator | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    kinds = data.kinds[list(rows)]
    if rng is not None:  # a reader that doesn't know the kind must be served too
        kinds = np.where(rng.random(len(kinds)) < recipe.kind_dropout, 0, kinds)
    ids = torch.from_numpy(pad([data.ids[i] for i in rows], network.pad_id)).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bfloat16):
        out: tuple[Tensor, Tensor] = network(ids, torch.from_numpy(kinds).to(device))
    return out


def _schedule(train: Sequence[tuple[Example, dict[str, Any]]], data: Tensors, recipe: Recipe) -> list[list[int]]:
    """All batches of all epochs, in order: alike lengths together, the batches shuffled."""
    schedule: list[list[int]] = []
    for epoch in range(recipe.epochs):
        rng = random.Random(recipe.seed * 1000 + epoch)
        rows = epoch_rows(train, recipe, epoch)
        rng.shuffle(rows)
        made = [
            [rows[k] for k in b]
            for b in batches([len(data.ids[i]) for i in rows], recipe.tokens_per_batch, recipe.texts_per_batch)
        ]
        rng.shuffle(made)
        schedule += made
    return schedule


def _probe(network: Network, data: Tensors, recipe: Recipe, device: torch.device) -> None:
    """Start the heads from a probe on the frozen encoder's features (full-batch Adam, a few hundred steps)."""
    if not recipe.probe_texts:
        return
    rows = np.random.default_rng(recipe.seed).permutation(len(data.ids))[: recipe.probe_texts]
    features = np.zeros((len(rows), network.sentiment.in_features), np.float32)
    network.eval()
    pad_id = network.pad_id
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bfloat16):
        for group in batches([len(data.ids[i]) for i in rows], 4096):
            ids = torch.from_numpy(pad([data.ids[rows[k]] for k in group], pad_id)).to(device)
            kinds = torch.from_numpy(data.kinds[rows[group]]).to(device)
            features[group] = network.embed(ids, kinds).float().cpu().numpy()
    x = torch.from_numpy(features).to(device)
    heads = [*network.sentiment.parameters(), *network.topics.parameters()]
    adam = torch.optim.Adam(heads, lr=0.02, weight_decay=1e-5)
    for _ in range(300):
        sentiment_loss, topic_loss = losses(network.sentiment(x), network.topics(x), data, rows.tolist(), recipe)
        (sentiment_loss + topic_loss).backward()
        adam.step()
        adam.zero_grad()
    log.info("probe", sentiment_loss=round(sentiment_loss.item(), 3), topic_loss=round(topic_loss.item(), 3))


def _network_to_go_on_from(base: Path, topics: Sequence[str], recipe: Recipe) -> Network:
    if is_run(base):
        from models.export.exporting import load_run

        known = json.loads((base / "training.json").read_text("utf-8"))["topics"]
        network = load_run(base, len(known))
    else:
        from models.export.rebuild import rebuild

        folder = read_folder(base)
        known, network = list(folder.topics), rebuild(folder, recipe.dropout)
    if list(known) != list(topics):
        raise TrainingDataError(f"base model: {base} has other topics than the recipe's list")
    return network


def _parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Heads at their own rate; layers at a rate that falls by ``layer_decay`` a layer towards the embeddings.

    No weight decay on embeddings, biases, norms and heads. A frozen parameter is in no group.
    """
    groups: list[dict[str, Any]] = [
        {"params": [*network.sentiment.parameters(), *network.topics.parameters()],
         "lr": recipe.head_learning_rate, "weight_decay": 0.0}
    ]  # fmt: skip
    depth = network.encoder.config.num_hidden_layers
    for level in range(depth + 1):
        module = network.encoder.embeddings if level == 0 else network.encoder.encoder.layer[level - 1]
        rate = recipe.learning_rate * recipe.layer_decay ** (depth - level)
        free = [p for p in module.parameters() if p.requires_grad]
        decay = recipe.weight_decay if level else 0.0  # else the rows of rare pieces would only shrink
        groups.append({"params": [p for p in free if p.ndim > 1], "lr": rate, "weight_decay": decay})
        groups.append({"params": [p for p in free if p.ndim == 1], "lr": rate, "weight_decay": 0.0})
    return [g for g in groups if g["params"]]


def save_atomically(path: Path, value: dict[str, Any]) -> None:
    """Write a checkpoint beside its place and rename it: a stop leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(path)

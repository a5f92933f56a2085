"""Fine-tune one network by a recipe. Reads from top to bottom: data, network, steps, what is left.

LP-FT (Kumar et al. 2022, arXiv 2202.10054): the heads first learn on the frozen encoder, then everything is tuned.
A sentiment label that allows several classes is trained on their summed probability; masked topics weigh nothing.
``average`` keeps a running mean of the weights (Polyak and Juditsky 1992), which is what is measured and saved.
A run that was stopped goes on from its last checkpoint when started again with the same folder.
"""

from __future__ import annotations

import json
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

from models.data.examples import Example
from models.errors import TrainingDataError
from models.evaluation.figures import by_set, summary
from models.folder import LABELS, read_folder
from models.graph.rebuild import rebuild
from models.labels import load_topics
from models.network import Network, network_from_base, prepare_for_training
from models.text.encoding import batches, load_tokenizer, pad
from models.training.bases import find_base
from models.training.distillation import taught
from models.training.inference import forward, predict
from models.training.objectives import Tensors, divergence, losses, perturbed, to_tensors
from models.training.provenance import origin, teacher
from models.training.recipe import Recipe
from models.training.runs import is_run, load_run, save_atomically
from models.training.sampling import batch_schedule, gather
from models.training.tuning import limit_tuning, merged

log = structlog.get_logger(__name__)

_AVERAGE_EVERY = 4
"""Steps between two weights that enter the running average: each costs a pass over all weights."""

_REPORT_EVERY = 0.5
"""Seconds between two reports: each waits for the device."""

Report = Callable[[int, int, str], None]
"""(step, steps, a line): called every half a second and after the last step."""


def train_model(
    recipe: Recipe,
    data: Path,
    base: Path,
    out: Path,
    threads: int = 1,
    report: Report | None = None,
    teachers: Sequence[Path] = (),
    watch: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
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
    started = time.time()

    # Data
    base_name, base = base.name, find_base(base, out, recipe.layers, recipe.max_tokens)
    topics = [t.id for t in load_topics(recipe.beside(recipe.topics_file))]
    tokenizer = load_tokenizer(base / "tokenizer.json", recipe.max_tokens)
    train, dev, read = gather(recipe, data)
    if teachers:
        train = taught(train, dev, teachers, topics, recipe, data, out / "teachers.npz")
    train_set = to_tensors([e for e, _ in train], tokenizer, topics, recipe.max_tokens)
    dev_set = to_tensors(dev, tokenizer, topics, recipe.max_tokens)
    schedule = batch_schedule(train, train_set, recipe)

    # Network, and where an earlier process stopped
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    continues = (base / LABELS).is_file() or is_run(base)
    network = (
        _network_to_go_on_from(base, topics, recipe)
        if continues
        else network_from_base(base, recipe.layers, len(topics), recipe.dropout)
    )
    trainer = _Trainer(network, recipe, len(schedule), device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load_checkpoint(checkpoint)
    elif not continues:
        _probe(trainer.network, train_set, recipe, device)

    # Steps
    board = SummaryWriter(str(out / "tensorboard"))
    every = max(1, trainer.steps // (recipe.epochs * recipe.evaluations_per_epoch))
    rng = np.random.default_rng([recipe.seed, trainer.step])
    began, first, reported = time.time(), trainer.step, 0.0
    while trainer.step < trainer.steps:
        sentiment_loss, topic_loss = trainer.learn(train_set, schedule[trainer.step], rng)
        step, last = trainer.step, trainer.step == trainer.steps
        if step % 20 == 0:
            board.add_scalar("loss/sentiment", sentiment_loss.item(), step)
            board.add_scalar("loss/topics", topic_loss.item(), step)
        if report and (time.time() - reported > _REPORT_EVERY or last):
            reported = time.time()
            eta = (reported - began) / (step - first) * (trainer.steps - step)
            line = f"loss {sentiment_loss.item():.3f} + {topic_loss.item():.3f}, {eta / 60:.1f} min to go"
            report(step, trainer.steps, line)
        if step % every == 0 or last:
            score = _dev_summary(trainer.measured, dev, dev_set, topics, recipe, device) if dev else float(step)
            board.add_scalar("dev/summary", score, step)
            if trainer.evaluated(score):
                trainer.save_best(out / "best.pt")
            trainer.save_checkpoint(checkpoint)
            if watch:
                watch(step, score)
            if trainer.progress["since_best"] >= recipe.patience:
                log.info("stopped early", step=step)
                break
    board.close()

    # What the run leaves
    facts = {
        "recipe": recipe.as_dict(),
        "topics": topics,
        "sets": read,
        "history": trainer.progress["history"],
        "seconds": round(time.time() - started),
        "recipe_path": str(recipe.path),
        "taught_by": [teacher(t) for t in teachers],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU",
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
    } | origin(base, base_name)
    (out / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    (out / "training.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    checkpoint.unlink(missing_ok=True)
    shutil.rmtree(out / "base", ignore_errors=True)
    return facts


class _Trainer:
    """The network with what changes it: optimizer, learning rate, running average of the weights; and how far the run
    is. A checkpoint holds all of it.

    Args:
        steps: of the whole run.
    """

    def __init__(self, network: Network, recipe: Recipe, steps: int, device: torch.device) -> None:
        self._recipe, self.steps, self._device = recipe, steps, device
        network = prepare_for_training(network, device)
        network.encoder.embeddings.word_embeddings.weight.requires_grad = not recipe.freeze_word_embeddings
        self.network = limit_tuning(network, recipe.tuning, recipe.lora_rank)
        groups = _parameter_groups(self.network, recipe)
        self._optimizer = torch.optim.AdamW(groups, fused=True)  # one pass over the weights: a tenth of a step on a CPU
        self._trained = [p for g in groups for p in g["params"]]
        warmup = max(1, int(steps * recipe.warmup_share))
        self._rate = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda s: min((s + 1) / warmup, max(0.02, (steps - s) / max(1, steps - warmup)))
        )
        average = get_ema_multi_avg_fn(recipe.average) if recipe.average else None
        self._averaged = AveragedModel(self.network, multi_avg_fn=average) if average else None
        self.progress: dict[str, Any] = {"step": 0, "best": -1.0, "since_best": 0, "history": []}

    @property
    def step(self) -> int:
        """Steps that are done."""
        return int(self.progress["step"])

    @property
    def measured(self) -> Network:
        """The network that is evaluated and saved: the running average where the recipe has one."""
        return self.network if self._averaged is None else cast(Network, self._averaged.module)

    def learn(self, data: Tensors, rows: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One step on the texts ``rows`` of ``data``; returns the losses of sentiment and topics."""
        recipe, network = self._recipe, self.network
        network.train()
        logits = forward(network, data, rows, self._device, recipe, rng)
        sentiment_loss, topic_loss = losses(*logits, data, rows, recipe)
        loss = sentiment_loss + recipe.topic_weight * topic_loss
        if recipe.r_drop:
            again = forward(network, data, rows, self._device, recipe, rng)
            second = losses(*again, data, rows, recipe)
            loss = (loss + second[0] + recipe.topic_weight * second[1]) / 2 + recipe.r_drop * divergence(logits, again)
        (loss / recipe.accumulate).backward()
        if recipe.fgm:
            with perturbed(network.encoder.embeddings.word_embeddings, recipe.fgm):
                attacked = losses(*forward(network, data, rows, self._device, recipe, rng), data, rows, recipe)
                ((attacked[0] + recipe.topic_weight * attacked[1]) / recipe.accumulate).backward()
        self.progress["step"] += 1
        last = self.step == self.steps
        if self.step % recipe.accumulate == 0 or last:
            nn.utils.clip_grad_norm_(self._trained, recipe.clip)
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        self._rate.step()
        if self._averaged is not None and (self.step % _AVERAGE_EVERY == 0 or last):
            self._averaged.update_parameters(network)
        return sentiment_loss, topic_loss

    def evaluated(self, score: float) -> bool:
        """Note a dev summary; returns whether it is the best so far."""
        p = self.progress
        better = score > p["best"]
        p["best"] = max(score, p["best"])
        p["since_best"] = 0 if better else p["since_best"] + 1
        p["history"].append({"step": self.step, "dev": round(score, 4)})
        log.info("evaluated", step=self.step, of=self.steps, dev=round(score, 4), best=round(p["best"], 4))
        return bool(better)

    def save_best(self, path: Path) -> None:
        """Weights without adapters, and the shape of the encoder."""
        shape = self.network.encoder.config.to_json_string()
        save_atomically(path, {"network": merged(self.measured).state_dict(), "config": shape})

    def save_checkpoint(self, path: Path) -> None:
        """All that a stopped run needs to go on."""
        on_gpu = self._device.type == "cuda"
        state = {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "rate": self._rate.state_dict(),
            "averaged": None if self._averaged is None else self._averaged.state_dict(),
            "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state(self._device) if on_gpu else None,
            "state": json.dumps(self.progress),
            "recipe": self._identity(),
        }
        save_atomically(path, state)

    def load_checkpoint(self, path: Path) -> None:
        """Go on where a checkpoint was written.

        Raises:
            TrainingDataError: it is of another recipe or other data.
        """
        saved = torch.load(path, map_location=self._device, weights_only=True)
        if saved["recipe"] != self._identity():
            raise TrainingDataError(f"{path} is of another recipe or other data: choose another --out")
        self.network.load_state_dict(saved["network"])
        if self._averaged is not None:
            self._averaged.load_state_dict(saved["averaged"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._rate.load_state_dict(saved["rate"])
        torch.set_rng_state(saved["rng"].cpu())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(saved["device_rng"].cpu(), self._device)
        self.progress = json.loads(saved["state"])
        log.info("going on from the checkpoint", step=self.step, of=self.steps)

    def _identity(self) -> str:
        """A checkpoint fits a run of the same recipe and as many steps."""
        return json.dumps(self._recipe.as_dict() | {"steps": self.steps}, sort_keys=True)


def _dev_summary(
    network: Network,
    dev: Sequence[Example],
    dev_set: Tensors,
    topics: Sequence[str],
    recipe: Recipe,
    device: torch.device,
) -> float:
    return summary(by_set(dev, topics, *predict(network, dev_set, device, recipe)))


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
        known = json.loads((base / "training.json").read_text("utf-8"))["topics"]
        network = load_run(base, len(known))
    else:
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
        {
            "params": [*network.sentiment.parameters(), *network.topics.parameters()],
            "lr": recipe.head_learning_rate,
            "weight_decay": 0.0,
        }
    ]
    depth = network.encoder.config.num_hidden_layers
    for level in range(depth + 1):
        module = network.encoder.embeddings if level == 0 else network.encoder.encoder.layer[level - 1]
        rate = recipe.learning_rate * recipe.layer_decay ** (depth - level)
        free = [p for p in module.parameters() if p.requires_grad]
        decay = recipe.weight_decay if level else 0.0  # else the rows of rare pieces would only shrink
        groups.append({"params": [p for p in free if p.ndim > 1], "lr": rate, "weight_decay": decay})
        groups.append({"params": [p for p in free if p.ndim == 1], "lr": rate, "weight_decay": 0.0})
    return [g for g in groups if g["params"]]

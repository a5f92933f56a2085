"""Training texts from a small grammar of ours (``composed.yaml``): subject × direction, negation, contrast.

After counterfactual augmentation (Kaushik et al. 2020, arXiv 1909.12434): for each text there is another that differs
in the one word that turns its mood, so that no word alone gives the label away. These texts train; none measures.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from barometer.vocabulary import Sentiment
from models.data.examples import Example
from models.errors import TrainingDataError

GRAMMAR = Path(__file__).with_name("composed.yaml")
NEGATIVE, NEUTRAL, POSITIVE = Sentiment


def composed(count: int, seed: int = 0, path: Path = GRAMMAR) -> list[Example]:
    """So many different texts, half of each language, moods in balance. The same seed gives the same texts.

    Raises:
        TrainingDataError: the grammar cannot be read or lacks a part; the message names it.
    """
    try:
        grammar = yaml.safe_load(path.read_text("utf-8"))
        rng = random.Random(seed)
        found: dict[str, Example] = {}
        tries = 0
        while len(found) < count and tries < 50 * count:
            tries += 1
            lang = ("zh", "en")[tries % 2]
            text, mood, kind = _make(grammar[lang], rng)
            text = text[0].upper() + text[1:]
            found.setdefault(text, Example(text, kind, lang, "composed", (mood,), weak=True))
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError) as e:
        raise TrainingDataError(f"composition: {path}: {e!r}") from e
    return list(found.values())


def _make(g: dict[str, list[str]], rng: random.Random) -> tuple[str, int, str]:
    form = rng.choice(("moves", "moves", "events", "but", "comment"))
    if form == "moves":
        mood, fill = _move(g, rng)
        return rng.choice(g["moves"]).format(**fill), mood, "news"
    if form == "comment":
        mood, fill = _move(g, rng)
        said = rng.choice(g["comment_good" if mood == POSITIVE else "comment_bad"])
        return rng.choice(g["comments"]).format(**fill, c=said), mood, "comment"
    if form == "events":
        return *_event(g, rng), "news"
    first, second = _clause(g, rng, NEGATIVE), _clause(g, rng, POSITIVE)
    if rng.random() < 0.5:
        first, second = second, first
    text = rng.choice(g["but"]).format(a=first[0], b=second[0])
    return text, second[1], "news"


def _move(g: dict[str, list[str]], rng: random.Random) -> tuple[int, dict[str, Any]]:
    """(mood, fillings): a good thing that rises or a bad one that falls is good news."""
    good, up = rng.random() < 0.5, rng.random() < 0.5
    percent = f"{rng.choice((5, 8, 12, 17, 23, 28, 35, 42, 56, 64))}{rng.choice(('%', '.3%', '.6%'))}"
    fill = {
        "f": rng.choice(g["firms"]),
        "t": rng.choice(g["times"]),
        "s": rng.choice(g["good" if good else "bad"]),
        "v": rng.choice(g["up" if up else "down"]).format(p=percent),
    }
    return (POSITIVE if good == up else NEGATIVE), fill


def _event(g: dict[str, list[str]], rng: random.Random) -> tuple[str, int]:
    """Something good done or not done, something bad that happened; a bad thing that didn't is no news."""
    form, events, mood = rng.choice(
        (
            ("achieve", "good_events", POSITIVE),
            ("fail", "good_events", NEGATIVE),
            ("occur", "bad_events", NEGATIVE),
            ("absent", "bad_events", NEUTRAL),
        )
    )
    text = rng.choice(g[form]).format(f=rng.choice(g["firms"]), e=rng.choice(g[events]), t=rng.choice(g["times"]))
    return text, mood


def _clause(g: dict[str, list[str]], rng: random.Random, mood: int) -> tuple[str, int]:
    """A clause of this mood, without its full stop."""
    for _ in range(100):
        got, fill = _move(g, rng)
        if got == mood:
            space = " " if g["times"][0].isascii() else ""
            return f"{fill['s']}{space}{fill['v']}", mood
    raise TrainingDataError("composition: the grammar makes texts of one mood only")

"""A message as lines, and how it is made to fit where a service limits its length.

Every service cuts in the same way: whole lines are kept from the top, the first that no longer fits is cut between two
characters as people see them, *before* it is escaped, and a link says where the rest is. So no tag, entity, escape or
character can be cut in two, whatever the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from monitor.notify.formats import Lang, character_ends
from monitor.notify.message import Message, Section

Role = Literal["title", "reason", "what", "row", "open", "heading", "quote", "step", "more"]


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One line. ``text`` may be cut; ``label`` (of a row, what stands over a quotation, the number of a step) and
    ``url`` are whole or not there."""

    role: Role
    text: str
    label: str = ""
    url: str = ""
    lang: Lang = "zh"


def lines_of(section: Section, link: str, *, title: bool = True, link_line: bool = True) -> list[MessageLine]:
    """The lines of one language, what matters most first.

    Args:
        title: False where the title has a place of its own.
        link_line: False where the link is a button.
    """
    lang = section.lang
    out = [MessageLine("title", section.title)] if title else []
    out += [MessageLine("reason", section.reason), MessageLine("what", section.what)]
    out += [MessageLine("row", value, label=label) for label, value in section.rows]
    if link_line:
        out.append(MessageLine("open", section.open, url=link))
    if section.quotes:
        out.append(MessageLine("heading", section.quotes_title))
        out += [MessageLine("quote", q.text, label=q.meta) for q in section.quotes]
    out.append(MessageLine("heading", section.steps_title))
    out += [MessageLine("step", step, label=f"{i}.") for i, step in enumerate(section.steps, 1)]
    return [replace(line, lang=lang) for line in out if line.text]


def fit(
    message: Message, budget: int, cost: Callable[[MessageLine], int], *, title: bool = True, link_line: bool = True
) -> list[MessageLine]:
    """The lines of a message, cut so that their costs add up to at most ``budget``.

    In two languages each has half of the room, and what one leaves is the other's.

    Args:
        budget: in the units of ``cost`` (bytes, characters), greater than the cost of the link to the rest.
        cost: of one line as the service counts it, with what separates it from the next. It must not fall when the
            text of a line grows.
    """
    link = str(message.facts["link"])
    titled = title or len(message.sections) > 1
    parts = [lines_of(s, link, title=titled, link_line=link_line) for s in message.sections]
    costs = [sum(map(cost, part)) for part in parts]
    out: list[MessageLine] = []
    for i, part in enumerate(parts):
        room = max(budget // (len(parts) - i), budget - sum(costs[i + 1 :]))
        kept = part if costs[i] <= room else _cut(part, room, cost, more(message.sections[i].lang, link))
        budget -= sum(map(cost, kept))
        out += kept
    return out


def more(lang: Lang, link: str) -> MessageLine:
    """The line that says that something was left out, and where it is."""
    text = "内容过长，其余请看告警页" if lang == "zh" else "Too long: the rest is on the alert's page"
    return MessageLine("more", text, url=link, lang=lang)


def _cut(
    lines: Iterable[MessageLine], room: int, cost: Callable[[MessageLine], int], last: MessageLine
) -> list[MessageLine]:
    left = room - cost(last)
    out: list[MessageLine] = []
    for line in lines:
        if cost(line) <= left:
            out.append(line)
            left -= cost(line)
            continue
        shorter = shorten(line, left, cost)
        if shorter is not None:
            out.append(shorter)
        break
    while out and out[-1].role == "heading":
        out.pop()
    return [*out, last] if left >= 0 else out


def shorten(line: MessageLine, room: int, cost: Callable[[MessageLine], int]) -> MessageLine | None:
    """The longest beginning of a line that fits, or None. A link is whole or not there."""
    if line.url:
        return None
    ends = list(character_ends(line.text))
    low, high = 0, len(ends)  # ends[:low] fits
    while low < high:
        middle = (low + high + 1) // 2
        if cost(replace(line, text=line.text[: ends[middle - 1]].rstrip() + "…")) <= room:
            low = middle
        else:
            high = middle - 1
    return replace(line, text=line.text[: ends[low - 1]].rstrip() + "…") if low else None

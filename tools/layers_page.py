#!/usr/bin/env python
"""Which layers surgery knows, and what it can do with each: docs/LAYERS.md, from the rules.

Nothing on the page is written by hand but its headings: marks, words and refusals are read from
the rules themselves. A test makes the page again and compares.

    tools/layers_page.py
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_mothernets.rules import Rule, stock_rules

PAGE = Path(__file__).resolve().parent.parent / "docs" / "LAYERS.md"

HEAD = """# Layers that are known

Written by `tools/layers_page.py` from the rules, Keras {version}. A layer that is not here is
refused by name; [RULES.md](RULES.md) shows how to give it a rule. A class derived from
one of these counts as another layer.
"""
COLUMNS = {
    "wider": "the argument whose number may be larger in a member than in the mother; `layer` is "
    "the layer inside. `km.widen` grows those that have {widths}",
    "kernel": "it may be larger in a member than in the mother (`km.enlarge_kernels`), where the "
    "mother's taps have one exact place in it",
    "inserted": "a member may have the layer by itself where the mother has none: it begins as an "
    "identity (`km.deepen`)",
    "optional": "it does nothing at inference, so that it may be there or not",
    "silent": "it can be the last layer with weights of a new branch, which then gives nothing at "
    "first: whole residual, dense and transformer units are inserted so",
}
OTHERS = "Known, and without any of these: channels pass or meet there as *Conditions* says"
CONDITIONS = """## Conditions

What each rule says of itself, and in which words it refuses. A name in a refusal stands as `...`.
"""
SECTIONS = {
    "layers": "Layers of Keras",
    "operations": "Raw operations (`keras.ops`, and operators on Keras tensors)",
    "applications": "Layers of the models in `keras.applications`",
}


def page() -> str:
    """The whole page, in Markdown."""
    import keras

    parts = [HEAD.format(version=keras.__version__), "| column | meaning |", "| --- | --- |"]
    known = stock_rules()
    widths = {rule.width: None for rule in known["layers"].values() if rule.width}
    named = ", ".join(f"`{width}`" for width in widths)
    for column, meaning in COLUMNS.items():
        parts.append(f"| {column} | {meaning.format(widths=named)} |")
    parts.append("")
    for section, heading in SECTIONS.items():
        parts += [f"## {heading}\n", *_section(_by_rule(known[section]))]
    parts += [CONDITIONS, *_conditions(known)]
    return "\n".join(parts).rstrip() + "\n"


def _by_rule(rules: Mapping[str, Rule]) -> dict[Rule, list[str]]:
    """Names of classes by their rule, in the order of the registry."""
    found: dict[Rule, list[str]] = {}
    for name, rule in rules.items():
        found.setdefault(rule, []).append(name)
    return found


def _section(rules: Mapping[Rule, list[str]]) -> Iterator[str]:
    """A table of what has a mark, and a list of all others."""
    rows = {", ".join(f"`{name}`" for name in names): _marks(rule) for rule, names in rules.items()}
    marked = {names: marks for names, marks in rows.items() if set(marks) != {"-"}}
    if marked:
        yield f"| class | {' | '.join(COLUMNS)} |"
        yield "| --- | --- | :-: | :-: | :-: | :-: |"
        yield from (f"| {' | '.join([names, *marks])} |" for names, marks in marked.items())
        yield ""
    names = ", ".join(names for names in rows if names not in marked)
    yield textwrap.fill(f"{OTHERS}: {names}.", 120, break_on_hyphens=False)
    yield ""


def _marks(rule: Rule) -> list[str]:
    found = (
        "kernel_size" in rule.free,
        _overrides(rule, "cannot_insert"),
        rule.is_transparent,
        _overrides(rule, "zeros"),
    )
    wider = ", ".join(f"`{size}`" for size in sizes(rule)) or "-"
    return [wider, *("yes" if each else "-" for each in found)]


def sizes(rule: Rule) -> tuple[str, ...]:
    """Arguments of a layer whose numbers may be larger in a member."""
    return (rule.width,) if rule.width else getattr(rule, "sizes", ())


def _overrides(rule: Rule, method: str) -> bool:
    return getattr(type(rule), method) is not getattr(Rule, method)


def _conditions(known: Mapping[str, Mapping[str, Rule]]) -> Iterator[str]:
    kinds: dict[type[Rule], None] = {}
    for rules in known.values():
        kinds |= {type(rule): None for rule in _by_rule(rules)}
    for kind in kinds:
        words = (inspect.getdoc(kind) or "").split("\nArgs:")[0].strip()
        title, _, rest = words.partition("\n\n")
        line = " ".join([f"- **{' '.join(title.split()).rstrip('.')}.**", *rest.split()])
        yield textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False)
        yield from (f"    - refused: {reason}" for reason in refusals(kind))


def refusals(kind: type[Rule]) -> list[str]:
    """What a rule says when it refuses, from its code and that of the rules it derives from."""
    found: dict[str, None] = {}
    for part in inspect.getmro(kind):
        if part is Rule or not issubclass(part, Rule):
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(part)))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Refusal", "SurgeryError"):
                found[_words(node.args[0])] = None
    return [text for text in found if text]


def _words(text: ast.expr) -> str:
    """A text of the code, with dots for what it fills in; empty if it is made elsewhere."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "..." for part in text.values
        )
    return ""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"Wrote {PAGE}")

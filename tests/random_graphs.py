"""Random series-parallel networks, and random growth that must be exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from graphs import (
    GROUPS,
    Act,
    Branches,
    Drop,
    Gate,
    Graph,
    Item,
    Items,
    Norm,
    Pool,
    Weights,
    Width,
)
from networks import ACTIVATIONS, FORMS, IDEMPOTENT, PAIRED

_USUAL = ("relu", "relu", "gelu", "silu", "tanh", "elu", "sigmoid")
# Infinite for large numbers; and 1 / 1.2, which an inserted pair needs, float32 cannot hold.
_UNUSUAL = [*(set(ACTIVATIONS) - {"exponential"}), "prelu", "softmax"]
_SHAPES = ((6, 6, 3), (7, 2), (5,))


def random_graph(seed: int, *, units: int = 3) -> Graph:
    """A random network of a few units on images, sequences or vectors."""
    return _Draw(seed).graph(units)


class _Draw:
    """Draws a network; knows which sites must grow evenly, and which not at all."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng([seed, 3])
        self.shape = _SHAPES[seed % len(_SHAPES)]
        self.sizes = [self.shape[-1]]

    def graph(self, units: int) -> Graph:
        items, _ = self.chain((0,), int(self.generator.integers(min(2, units), units + 1)), 0)
        head = str(self.generator.choice(["flatten", "global"]))
        return Graph(self.shape, items, tuple(self.sizes), head)

    def chance(self, p: float) -> bool:
        return bool(self.generator.random() < p)

    def site(self) -> Width:
        self.sizes.append(GROUPS * int(self.generator.integers(1, 3)))
        return (len(self.sizes) - 1,)

    def chain(self, width: Width, units: int, depth: int) -> tuple[Items, Width]:
        items: Items = ()
        for _ in range(units):
            new, width = self.unit(width, depth)
            items += new
        return items, width

    def unit(self, width: Width, depth: int) -> tuple[Items, Width]:
        kinds = ["plain", "plain"]
        if depth < 2:
            kinds += ["residual", "residual", "projected", "dense", "inception", "gate", "merge"]
        if len(self.shape) > 1 and not depth:
            kinds += ["pool"]
        draw = getattr(self, f"_{self.generator.choice(kinds)}")
        found: tuple[Items, Width] = draw(width, depth)
        return found

    def weights(self, made: Width, *, like: int = 0, stride: int = 1) -> Weights:
        kind = str(self.generator.choice(["full", "full", "dense", "separable"]))
        if len(self.shape) == 1 or like or stride > 1:
            kind = "full"
        kernel = int(self.generator.choice([1, 3])) if kind != "dense" else 1
        return Weights(kind, made, max(kernel, stride), stride, bias=self.chance(0.7))

    def act(self, width: Width) -> Act:
        name = str(self.generator.choice(_USUAL if self.chance(0.6) else sorted(_UNUSUAL)))
        return Act(name, str(self.generator.choice(FORMS)))

    def norm(self, width: Width, *, atom: bool = True) -> Items:
        """A normalisation, or none; over channels only where one layer alone made them."""
        if self.chance(0.4):
            return ()
        kinds = ["batch", "batch", "batch"]
        if atom and len(width) == 1 and width != (0,):
            kinds += ["layer", "rms", "unit"] + (["group", "instance"] if self.shape[1:] else [])
        return (Norm(str(self.generator.choice(kinds))),)

    def _plain(self, width: Width, depth: int) -> tuple[Items, Width]:
        made = self.site()
        items: Items = (self.weights(made), *self.norm(made), self.act(made))
        if len(self.shape) > 1 and self.chance(0.2):
            items = (Weights("depthwise", width, 3), *self.norm(width, atom=False), *items)
        return items + ((Drop(),) if self.chance(0.2) else ()), made

    def _residual(self, width: Width, depth: int) -> tuple[Items, Width]:
        body, inner = self.chain(width, int(self.generator.integers(1, 3)), depth + 1)
        if self.chance(0.5):
            body = (*self.norm(width), self.act(width), *body)
        body += (self.weights(width),)
        body += self.norm(width, atom=len(width) == 1) if self.chance(0.3) else ()
        body += (Gate(self.site(), width),) if self.chance(0.15) else ()
        items: Items = (Branches("add", ((), body) if self.chance(0.7) else (body, ())),)
        return items + ((self.act(width),) if self.chance(0.4) else ()), width

    def _projected(self, width: Width, depth: int) -> tuple[Items, Width]:
        made = self.site()
        stride = 2 if len(self.shape) > 1 and not depth and self.chance(0.4) else 1
        first = self.site()
        body: Items = (self.weights(first), *self.norm(first), self.act(first))
        body += (self.weights(made, stride=stride), *self.norm(made))
        shortcut: Items = (
            replace(self.weights(made, stride=stride), kernel=stride),
            *self.norm(made),
        )
        items: Items = (Branches("add", (shortcut, body)),)
        return items + ((self.act(made),) if self.chance(0.5) else ()), made

    def _dense(self, width: Width, depth: int) -> tuple[Items, Width]:
        body, made = self.chain(width, 1, depth + 1)
        if not body or made == width:
            made = self.site()
            body += (self.weights(made),)
        return (Branches("concat", ((), body)),), (*width, *made)

    def _inception(self, width: Width, depth: int) -> tuple[Items, Width]:
        chains, made = [], ()
        for _ in range(int(self.generator.integers(2, 4))):
            body, inner = self.chain(width, 1, depth + 1)
            body += (self.weights(new := self.site()), self.act(new))
            chains.append(body)
            made = (*made, *new)
        return (Branches("concat", tuple(chains)),), made

    def _merge(self, width: Width, depth: int) -> tuple[Items, Width]:
        kind = str(self.generator.choice(["average", "maximum", "minimum", "subtract"]))
        made = self.site()
        chains = tuple((*self.chain(width, 1, depth + 1)[0], self.weights(made)) for _ in range(2))
        return (Branches(kind, chains),), made

    def _gate(self, width: Width, depth: int) -> tuple[Items, Width]:
        return (Gate(self.site(), width, str(self.generator.choice(_USUAL))),), width

    def _pool(self, width: Width, depth: int) -> tuple[Items, Width]:
        return (Pool(str(self.generator.choice(["max", "average"]))),), width


def grow_graph(graph: Graph, seed: int, *, skip: frozenset[int] = frozenset()) -> Graph:
    """A random larger network that must be hatchable.

    Args:
        graph: What to grow.
        seed: Decides how.
        skip: Numbers of decisions to leave out, so that a counter-example can be made small.
    """
    return _Growth(graph, seed, skip).grown()


class _Growth:
    """Grows sizes and kernels, and inserts what is exact; every decision has a number."""

    def __init__(self, graph: Graph, seed: int, skip: frozenset[int]) -> None:
        self.graph = graph
        self.seed, self.skip, self.count = seed, skip, 0
        self.sizes = list(graph.sizes)
        self.even: set[int] = set()
        self.pinned: set[int] = {0}
        self._look(graph.items, (0,))

    def grown(self) -> Graph:
        for site, size in enumerate(self.graph.sizes):
            self.decide(1.0)
            more = int(self.generator.integers(0, 4)) * self.wanted
            if site not in self.pinned:
                self.sizes[site] = size * (1 + more % 3) if site in self.even else size + more
        items, _ = self.chain(self.graph.items, (0,), top=True)
        return replace(self.graph, items=items, sizes=tuple(self.sizes))

    def _look(self, items: Items, width: Width) -> Width:
        """Note the sites over which something is normalised; returns the width at the end."""
        for item in items:
            if isinstance(item, Norm) and item.kind in ("layer", "rms", "group"):
                self.even.update(width)
            elif item == Norm("unit") or (isinstance(item, Act) and item.name == "softmax"):
                self.pinned.update(width)
            elif isinstance(item, Branches):
                ends = [self._look(chain, width) for chain in item.chains]
                width = sum(ends, ()) if item.merge == "concat" else ends[0]
            elif isinstance(item, Weights):
                width = width if item.kind == "depthwise" else item.made
        return width

    def decide(self, p: float) -> bool:
        """Take the next decision, with numbers of its own."""
        self.generator = np.random.default_rng([self.seed, 5, self.count])
        self.wanted = self.count not in self.skip
        self.count += 1
        return bool(self.generator.random() < p) and self.wanted

    def chance(self, p: float) -> bool:
        return bool(self.generator.random() < p)

    def site(self, size: int) -> Width:
        self.sizes.append(size)
        return (len(self.sizes) - 1,)

    def size(self, width: Width) -> int:
        return sum(self.sizes[site] for site in width)

    def weights(self, made: Width) -> Weights:
        return Weights("full", made, int(self.generator.choice([1, 3])), bias=self.chance(0.7))

    def chain(self, items: Items, width: Width, *, top: bool = False) -> tuple[Items, Width]:
        out: Items = ()
        before: Item | None = None
        for place, item in enumerate(items):
            new, width = self.inserted(width, before, items[place:], top)
            out += new
            new, width = self.item(item, width, items[place + 1 :], top)
            out += new
            before = before if isinstance(item, Drop) else item
        new, width = self.inserted(width, before, (), top)
        return out + new, width

    def item(self, item: Item, width: Width, rest: Items, top: bool) -> tuple[Items, Width]:
        if isinstance(item, Branches):
            return self.branches(item, width, rest, top)
        if not isinstance(item, Weights):
            return (item,), width
        if self.decide(0.3) and item.kind != "dense" and item.kernel >= item.stride:
            item = replace(item, kernel=item.kernel + 2)
        if self.decide(0.3):
            item = replace(item, bias=True)
        if self.decide(0.4) and item.kind == "full" and item.stride == 1 and rest:
            act = rest[0]
            if isinstance(act, Act) and act.name in PAIRED and act.name != "leaky_relu":
                small = self.graph.size(item.made)
                wide = self.site(2 * small + int(self.generator.integers(0, 3)))
                return (replace(item, made=wide), act, self.weights(item.made)), item.made
        return (item,), width if item.kind == "depthwise" else item.made

    def branches(self, item: Branches, width: Width, rest: Items, top: bool) -> tuple[Items, Width]:
        grown = [self.chain(chain, width) for chain in item.chains]
        chains, ends = [chain for chain, _ in grown], [end for _, end in grown]
        if item.merge != "concat":
            return (replace(item, chains=tuple(chains)),), ends[0]
        made: Width = sum(ends, ())
        if self.decide(0.3) and _read_anew(rest, top):
            new = self.site(int(self.generator.integers(1, 4)))
            chains.append((self.weights(new), Act("tanh")))
            made += new
        return (replace(item, chains=tuple(chains)),), made

    def inserted(
        self, width: Width, before: Item | None, rest: Items, top: bool
    ) -> tuple[Items, Width]:
        """Something that only the larger network has, or nothing; and the width behind it."""
        if not self.decide(0.35):
            return (), width
        kinds = ["linear", "norm", "drop", "block", "block"]
        if isinstance(before, Act) and before.name in IDEMPOTENT:
            kinds += ["unit", "unit"]
        if before in (Act("relu"), Act("relu6")):
            kinds += ["after"]
        if _read_anew(rest, top) and self.chance(0.4):
            new = self.site(int(self.generator.integers(1, 4)))
            body: Items = (self.weights(new), Act("silu"))
            return (Branches("concat", ((), body)),), (*width, *new)
        found: Items = getattr(self, f"_{self.generator.choice(kinds)}")(width, before)
        return found, width

    def _linear(self, width: Width, before: Item | None) -> Items:
        wide = self.site(self.size(width) + int(self.generator.integers(0, 3)))
        return (self.weights(wide), self.weights(width))

    def _norm(self, width: Width, before: Item | None) -> Items:
        return (Norm("batch"),)

    def _drop(self, width: Width, before: Item | None) -> Items:
        return (Drop(),)

    def _unit(self, width: Width, before: Item | None) -> Items:
        assert isinstance(before, Act)
        norm: Items = (Norm("batch"),) if self.chance(0.4) else ()
        return (self.weights(width), *norm, before)

    def _block(self, width: Width, before: Item | None) -> Items:
        inner = self.site(int(self.generator.integers(1, 5)))
        body: Items = (self.weights(inner), Norm("batch"), Act("gelu"), self.weights(width))
        even = set(width) <= self.even | self.pinned
        body = (Norm("layer"), *body) if self.chance(0.3) and even else body
        body += (Norm("batch"),) if self.chance(0.3) else ()
        body += (Gate(self.site(2), width),) if self.chance(0.2) else ()
        return (Branches("add", ((), body)),)

    def _after(self, width: Width, before: Item | None) -> Items:
        assert before is not None
        return (*self._block(width, before), before)


def _read_anew(rest: Items, top: bool) -> bool:
    """Whether more channels there reach only weights that read them."""
    for item in rest:
        if isinstance(item, Weights):
            return item.kind != "depthwise"
        soft = isinstance(item, Act) and item.name in ("softmax", "prelu")
        if soft or not (isinstance(item, (Act, Drop, Pool)) or item == Norm("batch")):
            return False
    return top

"""Records PyTorch's learning rates, for tests/schedules.rs to compare with.

    python -m venv venv
    venv/bin/pip install torch==2.15.0
    venv/bin/python tests/golden/schedules.py > tests/golden/schedules.csv

A line of the result is a kind of schedule, its settings as gradstep has them, and the learning rates of as many steps.
For `plateau` each learning rate is preceded by the metric that led to it. `base` is the base learning rate, and what
PyTorch takes as a second learning rate is recorded as its ratio to the base. Lists are joined by semicolons.

PyTorch has no class for `wsd`, `inverse_sqrt` and `noam`: these are its LambdaLR with the formula of transformers'
`get_wsd_schedule`, of its `get_inverse_sqrt_schedule`, and of "Attention Is All You Need".
"""

import math
import warnings

import torch
from torch.optim import lr_scheduler as lrs

STEPS = 100


def optimizer(base):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)


def show(value):
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)


def emit(kind, settings, values):
    print(",".join([kind, *(f"{k}={show(v)}" for k, v in settings.items()), *map(repr, values)]))


def record(kind, build, count=STEPS, base=0.1, **settings):
    """`build(optimizer, base, **settings)` makes the scheduler."""
    opt = optimizer(base)
    scheduler = build(opt, base, **settings)
    values = [opt.param_groups[0]["lr"]]
    while len(values) < count:
        opt.step()
        scheduler.step()
        values.append(opt.param_groups[0]["lr"])
    emit(kind, {"base": base, **settings}, values)


def simple_ones():
    def constant(opt, base, factor, until):
        return lrs.ConstantLR(opt, factor, until)

    def exponential(opt, base, gamma):
        return lrs.ExponentialLR(opt, gamma)

    def step_decay(opt, base, every, gamma):
        return lrs.StepLR(opt, every, gamma)

    def multi_step(opt, base, milestones, gamma):
        return lrs.MultiStepLR(opt, milestones, gamma)

    def linear(opt, base, start, end, steps):
        return lrs.LinearLR(opt, start, end, steps)

    def polynomial(opt, base, steps, power):
        return lrs.PolynomialLR(opt, steps, power)

    for factor, until in [(1 / 3, 5), (0.25, 40), (0.9, 1)]:
        record("constant", constant, factor=factor, until=until)
    for gamma in [0.9, 0.99, 1.02, 0.5]:
        record("exponential", exponential, base=0.003, gamma=gamma)
    for every, gamma in [(7, 0.5), (30, 0.1), (1, 0.95), (25, 1.5)]:
        record("step_decay", step_decay, every=every, gamma=gamma)
    for milestones in [[30, 80], [60, 5, 20, 20], [0, 50]]:
        record("multi_step", multi_step, milestones=milestones, gamma=0.3)
    for start, end, steps in [(1 / 3, 1.0, 5), (0.1, 1.0, 40), (1.0, 0.0, 50), (0.7, 0.05, 77)]:
        record("linear", linear, start=start, end=end, steps=steps)
    for power in [1.0, 2.0, 0.5, 0.9, 3.7, 12.0]:
        record("polynomial", polynomial, steps=60, power=power)


def cosines():
    def cosine(opt, base, steps, min):
        return lrs.CosineAnnealingLR(opt, steps, min * base)

    def warm_restarts(opt, base, first, mult, min):
        return lrs.CosineAnnealingWarmRestarts(opt, first, mult, min * base)

    for steps, min in [(50, 0.0), (33, 0.1), (7, 0.01), (100, 0.001), (1, 0.5)]:
        record("cosine", cosine, base=0.3, steps=steps, min=min)
    for first, mult, min in [(10, 1, 0.0), (10, 2, 0.0), (7, 3, 0.05), (1, 2, 0.5), (60, 5, 0.01)]:
        record("warm_restarts", warm_restarts, base=0.3, first=first, mult=mult, min=min)


def cycles():
    def one_cycle(opt, base, steps, pct_start, anneal, div_factor, final_div_factor, three_phase):
        return lrs.OneCycleLR(
            opt,
            base,
            steps,
            pct_start=pct_start,
            anneal_strategy=anneal,
            cycle_momentum=False,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
        )

    def cyclic(opt, base, up, down, low, high, mode, gamma):
        return lrs.CyclicLR(opt, low * base, high * base, up, down, mode, gamma, cycle_momentum=False)

    for steps, pct_start in [(100, 0.3), (77, 0.25), (64, 0.45), (61, 0.0), (60, 1.0)]:
        for anneal in ["cos", "linear"]:
            for three_phase in [False, True]:
                div_factor, final_div_factor = (25.0, 1e4) if steps == 100 else (8.0, 50.0)
                record(
                    "one_cycle",
                    one_cycle,
                    count=steps,  # PyTorch goes one step beyond the end, or divides by zero
                    steps=steps,
                    pct_start=pct_start,
                    anneal=anneal,
                    div_factor=div_factor,
                    final_div_factor=final_div_factor,
                    three_phase=three_phase,
                )
    for mode, gamma in [("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.97)]:
        for up, down, low, high in [(8, 8, 1.0, 6.0), (5, 13, 0.2, 1.0), (50, 1, 1.0, 10.0)]:
            record("cyclic", cyclic, up=up, down=down, low=low, high=high, mode=mode, gamma=gamma)


def with_warmup():
    def warmup(opt, base, steps, start, then):
        following = lrs.CosineAnnealingLR(opt, then) if then > 0 else lrs.ExponentialLR(opt, 0.95)
        return lrs.SequentialLR(opt, [lrs.LinearLR(opt, start, 1.0, steps), following], [steps])

    def wsd(opt, base, warmup, stable, decay, shape, min):
        left = {
            "linear": lambda p: 1.0 - p,
            "cosine": lambda p: (1.0 + math.cos(math.pi * p)) / 2,
            "sqrt": lambda p: 1.0 - math.sqrt(p),
        }[shape]

        def factor(step):
            if step < warmup:
                return min + (1 - min) * step / warmup
            step -= warmup + stable
            if step < 0:
                return 1.0
            return min + (1 - min) * left(step / decay) if step < decay else min

        return lrs.LambdaLR(opt, factor)

    def inverse_sqrt(opt, base, warmup):
        return lrs.LambdaLR(opt, lambda s: s / warmup if s < warmup else 1 / math.sqrt(s / warmup))

    def noam(opt, base, warmup, d_model):
        def factor(step):
            return d_model**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)

        return lrs.LambdaLR(opt, factor)

    for steps, start, then in [(10, 0.1, 60), (25, 1 / 3, 0), (1, 0.5, 40)]:
        record("warmup", warmup, steps=steps, start=start, then=then)
    for shape in ["linear", "cosine", "sqrt"]:
        record("wsd", wsd, base=3e-4, warmup=10, stable=45, decay=35, shape=shape, min=0.05)
        record("wsd", wsd, base=3e-4, warmup=0, stable=0, decay=90, shape=shape, min=0.0)
    for warmup_steps in [1, 20, 1000]:
        record("inverse_sqrt", inverse_sqrt, base=1e-3, warmup=warmup_steps)
        record("noam", noam, base=1.0, warmup=warmup_steps, d_model=512)


def combinations():
    """tests/schedules.rs has the same ones by name."""

    def sequence(opt, base, of):
        if of == "linear-cosine-step":
            cosine = lrs.CosineAnnealingLR(opt, 30, 0.1 * base)
            parts = [lrs.LinearLR(opt, 0.2, 1.0, 8), cosine, lrs.StepLR(opt, 9, 0.5)]
            milestones = [12, 50]
        else:
            parts = [lrs.CosineAnnealingWarmRestarts(opt, 6, 2), lrs.PolynomialLR(opt, 40, 1.5)]
            milestones = [33]
        return lrs.SequentialLR(opt, parts, milestones)

    def product(opt, base, of):
        if of == "constant-exponential":
            parts = [lrs.ConstantLR(opt, 0.1, 15), lrs.ExponentialLR(opt, 0.93)]
        else:
            steps = lrs.MultiStepLR(opt, [50, 70], 0.4)
            parts = [lrs.LinearLR(opt, 0.25, 1.0, 20), lrs.CosineAnnealingLR(opt, 90), steps]
        return lrs.ChainedScheduler(parts)

    for of in ["linear-cosine-step", "restarts-polynomial"]:
        record("sequence", sequence, base=0.05, of=of)
    for of in ["constant-exponential", "linear-cosine-multi_step"]:
        # At step 90 the cosine is 0, and the chain does not come back from there as a product does.
        record("product", product, count=90, base=0.05, of=of)


def metrics(level):
    """Falls with a wobble, and lies still from time to time."""
    for i in range(STEPS):
        falling = i % 40 < 18
        level *= 0.93 if falling else 1.0
        yield round(level * (1 + 0.02 * math.sin(2.7 * i) * (1 if falling else 0.01)), 9)


def plateaus():
    def plateau(values, base, mode, gamma, patience, threshold, relative, cooldown, min, eps):
        opt = optimizer(base)
        scheduler = lrs.ReduceLROnPlateau(
            opt,
            mode,
            gamma,
            patience,
            threshold,
            "rel" if relative else "abs",
            cooldown,
            min * base,
            eps * base,
        )
        for value in values:
            opt.step()
            scheduler.step(value)
            yield value
            yield opt.param_groups[0]["lr"]

    usual = dict(
        base=0.1, mode="min", gamma=0.1, patience=10, threshold=1e-4, relative=True, cooldown=0, min=0.0, eps=1e-7
    )
    for changed in [
        {},
        dict(gamma=0.5, patience=2),
        dict(gamma=0.5, patience=3, cooldown=5),
        dict(gamma=0.3, patience=1, threshold=0.05),
        dict(gamma=0.3, patience=2, threshold=0.02, relative=False),
        dict(gamma=0.5, patience=0, min=0.01),
        dict(gamma=0.5, patience=0, eps=0.02),
        dict(gamma=0.7, patience=4, mode="max"),
        dict(gamma=0.7, patience=2, mode="max", threshold=0.01, relative=False, cooldown=3),
        dict(gamma=0.7, patience=2, mode="max", threshold=0.1),
    ]:
        settings = usual | changed
        values = list(metrics(3.0))
        if settings["mode"] == "max":
            values = [round(4.0 - value, 9) for value in values]
        values[30] = math.nan
        values[60] = math.inf if settings["mode"] == "min" else -math.inf
        emit("plateau", settings, plateau(values, **settings))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # about the deprecated argument that SequentialLR gives its own parts
    print(f"# torch {torch.__version__}, by schedules.py")
    simple_ones()
    cosines()
    cycles()
    with_warmup()
    combinations()
    plateaus()

"""Records the trajectories of PyTorch's, Keras' and optax' own optimizers, which tests/golden.rs compares with.

    python -m venv venv
    venv/bin/pip install torch==2.15.0 keras==3.15.1 optax==0.2.8 jax==0.10.2
    KERAS_BACKEND=jax JAX_ENABLE_X64=1 venv/bin/python tests/golden/rules.py

Writes tests/golden/rules.txt.gz. Each case is run twice, in float64 and in float32: the first is the truth, the second
tells how far from it the framework itself is.
"""

import gzip
import io
import os
import random
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
import numpy  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

ELEMENTS = 19
STEPS = 40
SHOWN = (1, 2, 3, 10, STEPS)


def inputs():
    """Parameters, and a gradient for each step: everyday values, zeros, sign flips, tiny and large ones. All of them are
    float32 numbers, so that both runs start from the same."""
    source = random.Random(20261122)
    params = [source.uniform(-1, 1) for _ in range(ELEMENTS)]
    grads = []
    for step in range(STEPS):
        row = [source.uniform(-1, 1) * 10.0 ** (i % 5 - 3) for i in range(ELEMENTS)]
        row[3] = 0.0
        row[4] = 0.0 if step % 3 else 0.5
        row[7] = (-1) ** step * 0.25
        row[8] = 1e-20 * (1 + step % 2)
        row[9] = 1e4 * source.uniform(-1, 1)
        row[10] = 1e4 if step == 5 else 1e-4
        row[11] = 0.0 if step < 20 else 1.0
        grads.append(row)
    return numpy.float32(params), numpy.float32(grads)


PARAMS, GRADS = inputs()


def torch_run(make, dtype):
    param = torch.nn.Parameter(torch.tensor(PARAMS, dtype=getattr(torch, dtype)))
    optimizer = make([param])
    shown = {}
    for step, grad in enumerate(GRADS, 1):
        param.grad = torch.tensor(grad, dtype=param.dtype)
        optimizer.step()
        if step in SHOWN:
            shown[step] = param.detach().numpy().copy()
    state = {name: value.numpy() for name, value in optimizer.state[param].items() if torch.is_tensor(value) and value.ndim}
    return shown, state


def keras_run(make, dtype):
    keras.config.set_floatx(dtype)
    param = keras.Variable(PARAMS, dtype=dtype, name="p")
    optimizer = make()
    optimizer.build([param])
    shown = {}
    for step, grad in enumerate(GRADS, 1):
        optimizer.apply([jnp.asarray(grad, dtype=dtype)], [param])
        if step in SHOWN:
            shown[step] = numpy.array(param.value)
    state = {variable.name.removeprefix("p_"): numpy.array(variable.value) for variable in optimizer.variables}
    return shown, {name: value for name, value in state.items() if value.ndim}


def optax_run(make, dtype):
    param = jnp.asarray(PARAMS, dtype=dtype)
    optimizer = make()
    state = optimizer.init(param)
    shown = {}
    for step, grad in enumerate(GRADS, 1):
        updates, state = optimizer.update(jnp.asarray(grad, dtype=dtype), state, param)
        param = optax.apply_updates(param, updates)
        if step in SHOWN:
            shown[step] = numpy.array(param)
    named = {}
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        if getattr(value, "ndim", 0):
            named[path[-1].name] = numpy.array(value)
    return shown, named


RUNS = {"torch": torch_run, "keras": keras_run, "optax": optax_run}

# Each case: framework, gradstep's rule, its options beside the framework's preset, the framework's optimizer.
CASES = []


def case(framework, rule, options, make):
    CASES.append((framework, rule, options, make))


def torch_cases():
    def add(rule, kind, options, **settings):
        case("torch", rule, options, lambda params: kind(params, **settings))

    common = [
        ({}, {}),
        ({"weight_decay": 0.1}, {"weight_decay": 0.1}),
        ({"maximize": "true"}, {"maximize": True}),
        ({"weight_decay": 0.01, "maximize": "true"}, {"weight_decay": 0.01, "maximize": True}),
    ]

    def grid(rule, kind, own, **always):
        for options, settings in own:
            for common_options, common_settings in common:
                add(rule, kind, options | common_options, **always | settings | common_settings)

    grid("sgd", torch.optim.SGD, [({}, {}), ({"lr": 0.1}, {"lr": 0.1})])
    grid(
        "momentum",
        torch.optim.SGD,
        [
            ({}, {}),
            ({"lr": 0.01, "dampening": 0.3}, {"lr": 0.01, "dampening": 0.3}),
            ({"momentum": 0.5, "nesterov": "true"}, {"momentum": 0.5, "nesterov": True}),
        ],
        momentum=0.9,
    )
    grid(
        "adagrad",
        torch.optim.Adagrad,
        [
            ({}, {}),
            ({"lr_decay": 0.1}, {"lr_decay": 0.1}),
            (
                {"initial_accumulator_value": 0.5, "eps": 0.01},
                {"initial_accumulator_value": 0.5, "eps": 0.01},
            ),
        ],
    )
    grid(
        "rmsprop",
        torch.optim.RMSprop,
        [
            ({}, {}),
            ({"momentum": 0.9}, {"momentum": 0.9}),
            ({"centered": "true", "eps": 0.001}, {"centered": True, "eps": 0.001}),
            (
                {"centered": "true", "eps": 0.001, "momentum": 0.5, "alpha": 0.9},
                {"centered": True, "eps": 0.001, "momentum": 0.5, "alpha": 0.9},
            ),
        ],
    )
    grid("adadelta", torch.optim.Adadelta, [({}, {}), ({"rho": 0.5, "eps": 0.001}, {"rho": 0.5, "eps": 0.001})])
    adam = [
        ({}, {}),
        ({"beta1": 0.5, "beta2": 0.9, "eps": 0.01}, {"betas": (0.5, 0.9), "eps": 0.01}),
        ({"amsgrad": "raw", "beta2": 0.9}, {"amsgrad": True, "betas": (0.9, 0.9)}),
    ]
    grid("adam", torch.optim.Adam, adam)
    grid("adamw", torch.optim.AdamW, adam)


def keras_cases():
    def add(rule, kind, options, **settings):
        case("keras", rule, options, lambda: kind(**settings))

    optimizers = keras.optimizers
    decay = [({}, {}), ({"weight_decay": 0.1}, {"weight_decay": 0.1})]

    def grid(rule, kind, own, **always):
        for options, settings in own:
            for decay_options, decay_settings in decay:
                add(rule, kind, options | decay_options, **always | settings | decay_settings)

    nesterov = ({"nesterov": "true"}, {"nesterov": True})
    grid("sgd", optimizers.SGD, [({}, {})])
    grid("momentum", optimizers.SGD, [({}, {}), nesterov], momentum=0.9)
    grid("adagrad", optimizers.Adagrad, [({}, {}), ({"eps_root": 0.01}, {"epsilon": 0.01})])
    grid(
        "rmsprop",
        optimizers.RMSprop,
        [
            ({}, {}),
            ({"momentum": 0.9}, {"momentum": 0.9}),
            ({"centered": "true", "eps_root": 0.001}, {"centered": True, "epsilon": 0.001}),
        ],
    )
    grid("adadelta", optimizers.Adadelta, [({}, {}), ({"lr": 1.0, "rho": 0.5}, {"learning_rate": 1.0, "rho": 0.5})])
    amsgrad = ({"amsgrad": "raw", "beta2": 0.9}, {"amsgrad": True, "beta_2": 0.9})
    grid("adam", optimizers.Adam, [({}, {}), amsgrad])
    grid("adamw", optimizers.AdamW, [({}, {}), amsgrad])


def optax_cases():
    def add(rule, options, make):
        case("optax", rule, options, make)

    lr = 1e-3
    add("sgd", {}, lambda: optax.sgd(lr))
    add("momentum", {}, lambda: optax.sgd(lr, momentum=0.9))
    add("momentum", {"nesterov": "true"}, lambda: optax.sgd(lr, momentum=0.9, nesterov=True))
    add("adagrad", {}, lambda: optax.adagrad(lr))
    add("adagrad", {"initial_accumulator_value": 0.0}, lambda: optax.adagrad(lr, initial_accumulator_value=0.0))
    add("rmsprop", {}, lambda: optax.rmsprop(lr))
    add("rmsprop", {"eps": 1e-8, "eps_root": 0.0}, lambda: optax.rmsprop(lr, eps_in_sqrt=False))
    add("rmsprop", {"momentum": 0.9}, lambda: optax.rmsprop(lr, momentum=0.9))
    add(
        "rmsprop",
        {"momentum": 0.9, "nesterov": "true", "initial_accumulator_value": 1.0},
        lambda: optax.rmsprop(lr, momentum=0.9, nesterov=True, initial_scale=1.0),
    )
    add("rmsprop", {"centered": "true", "eps_root": 0.001}, lambda: optax.rmsprop(lr, centered=True, eps=0.001))
    add("adadelta", {}, lambda: optax.adadelta(1.0))
    add("adam", {}, lambda: optax.adam(lr))
    add("adam", {"eps_root": 1e-4}, lambda: optax.adam(lr, eps_root=1e-4))
    add("adam", {"amsgrad": "corrected", "beta2": 0.9}, lambda: optax.amsgrad(lr, b2=0.9))
    add("adamw", {}, lambda: optax.adamw(lr))
    add("adamw", {"weight_decay": 0.1}, lambda: optax.adamw(lr, weight_decay=0.1))


def row(values):
    return " ".join(repr(float(value)) for value in values)


def write(out):
    print(f"versions torch {torch.__version__} keras {keras.__version__} optax {optax.__version__}", file=out)
    print("params", row(PARAMS), file=out)
    for grad in GRADS:
        print("grads", row(grad), file=out)
    for framework, rule, options, make in CASES:
        settings = " ".join(f"{name}={value}" for name, value in options.items())
        print("case", framework, rule, settings, file=out)
        for dtype in ("float64", "float32"):
            shown, state = RUNS[framework](make, dtype)
            for step, values in shown.items():
                print(dtype, "step", step, row(values), file=out)
            for name, values in state.items():
                print(dtype, "state", name, row(values), file=out)


if __name__ == "__main__":
    torch_cases()
    keras_cases()
    optax_cases()
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.txt.gz")
    with gzip.GzipFile(target, "wb", mtime=0) as packed:
        with io.TextIOWrapper(packed, encoding="ascii") as out:
            write(out)
    print(len(CASES), "cases,", os.path.getsize(target), "bytes", file=sys.stderr)

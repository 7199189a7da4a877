"""Records the trajectories of PyTorch's, Keras' and optax' own optimizers, which tests/golden.rs compares with.

    python -m venv venv
    venv/bin/pip install torch==2.15.0 keras==3.15.1 optax==0.2.8 jax==0.10.2
    KERAS_BACKEND=jax JAX_ENABLE_X64=1 venv/bin/python tests/golden/rules.py

Writes tests/golden/rules.txt.gz. Each case is run twice, in float64 and in float32: the first is the truth, the second
tells how far from it the framework itself is. The last bits depend on the machine: PyTorch's square root is the math
library's, which chooses its code by the processor.
"""

import math
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

from record import pack, row, versions  # noqa: E402

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


def hessian():
    """What Sophia's curvature stays at: everyday values, zeros, negative, tiny and large ones."""
    source = random.Random(20261123)
    values = [source.uniform(0, 1) * 10.0 ** (i % 5 - 1) for i in range(ELEMENTS)]
    values[2] = 0.0
    values[3] = 0.0
    values[6] = -1.0
    values[8] = 1e-20
    values[9] = 1e6
    return numpy.float32(values)


HESSIAN = hessian()


def torch_run(make, dtype):
    torch.set_default_dtype(getattr(torch, dtype))  # of the numbers in a state, such as NAdam's mu_product
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
    betas = ({"beta1": 0.5, "beta2": 0.9, "eps": 0.01}, {"betas": (0.5, 0.9), "eps": 0.01})
    decoupled = ({"decay": "decoupled"}, {"decoupled_weight_decay": True})
    nadam = [({}, {}), betas, ({"momentum_decay": 0.5}, {"momentum_decay": 0.5})]
    grid("adamax", torch.optim.Adamax, [({}, {}), betas])
    grid("nadam", torch.optim.NAdam, [*nadam, decoupled])
    grid("nadamw", torch.optim.NAdam, nadam, weight_decay=0.01, decoupled_weight_decay=True)
    grid("radam", torch.optim.RAdam, [({}, {}), betas, decoupled])
    for common_options, common_settings in [common[0], common[2]]:  # it has no weight decay
        for options, settings in [
            ({}, {}),
            ({"lr": 0.1, "eta_minus": 0.3, "eta_plus": 1.5}, {"lr": 0.1, "etas": (0.3, 1.5)}),
            ({"step_size_min": 0.005, "step_size_max": 0.02}, {"step_sizes": (0.005, 0.02)}),
        ]:
            add("rprop", torch.optim.Rprop, options | common_options, **settings | common_settings)
    averaged = {"lr": 0.1, "lambd": 0.5, "alpha": 0.5, "t0": 5}
    early = {"lambd": 0.01, "t0": 0}
    grid("asgd", torch.optim.ASGD, [({}, {}), (early, early), (averaged, averaged)])


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
    grid("adagrad", optimizers.Adagrad, [({}, {}), ({"eps": 0.01}, {"epsilon": 0.01})])
    grid(
        "rmsprop",
        optimizers.RMSprop,
        [
            ({}, {}),
            ({"momentum": 0.9}, {"momentum": 0.9}),
            ({"centered": "true", "eps": 0.001}, {"centered": True, "epsilon": 0.001}),
        ],
    )
    grid("adadelta", optimizers.Adadelta, [({}, {}), ({"lr": 1.0, "rho": 0.5}, {"learning_rate": 1.0, "rho": 0.5})])
    amsgrad = ({"amsgrad": "raw", "beta2": 0.9}, {"amsgrad": True, "beta_2": 0.9})
    grid("adam", optimizers.Adam, [({}, {}), amsgrad])
    grid("adamw", optimizers.AdamW, [({}, {}), amsgrad])
    betas = ({"beta1": 0.5, "beta2": 0.9}, {"beta_1": 0.5, "beta_2": 0.9})
    eps = ({"eps": 0.01}, {"epsilon": 0.01})
    grid("adamax", optimizers.Adamax, [({}, {}), betas, eps])
    grid("nadam", optimizers.Nadam, [({}, {}), betas, eps])
    grid("lamb", optimizers.Lamb, [({}, {}), ({"lr": 0.01, "eps": 0.001}, {"learning_rate": 0.01, "epsilon": 0.001})])
    grid("lion", optimizers.Lion, [({}, {}), betas])
    free = optimizers.ScheduleFreeAdamW
    add("schedulefree_adamw", free, {})
    warmed = {"lr": 0.01, "beta1": 0.5, "beta2": 0.9, "warmup_steps": 10}
    add("schedulefree_adamw", free, warmed, learning_rate=0.01, beta_1=0.5, beta_2=0.9, warmup_steps=10)
    l1, l2, shrinkage = (f"{name}_regularization_strength" for name in ("l1", "l2", "l2_shrinkage"))
    for options, settings in [
        ({}, {}),
        ({"lr": 0.1, "initial_accumulator_value": 1.0}, {"learning_rate": 0.1, "initial_accumulator_value": 1.0}),
        ({"l1": 0.5}, {l1: 0.5}),
        ({"l2_strength": 0.5}, {l2: 0.5}),
        ({"l2_shrinkage": 0.1}, {shrinkage: 0.1}),
        ({"beta": 1.0}, {"beta": 1.0}),
        (
            {"lr": 0.1, "l1": 0.5, "l2_strength": 0.1, "l2_shrinkage": 0.1, "beta": 1.0},
            {"learning_rate": 0.1, l1: 0.5, l2: 0.1, shrinkage: 0.1, "beta": 1.0},
        ),
        ({"lr": 0.1, "weight_decay": 0.1}, {"learning_rate": 0.1, "weight_decay": 0.1}),
        (
            {"lr": 0.1, "weight_decay": 0.1, "l1": 0.5, "l2_shrinkage": 0.1},
            {"learning_rate": 0.1, "weight_decay": 0.1, l1: 0.5, shrinkage: 0.1},
        ),
    ]:
        add("ftrl", optimizers.Ftrl, options, **settings)


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
    add("rmsprop", {"eps_place": "outside"}, lambda: optax.rmsprop(lr, eps_in_sqrt=False))
    add("rmsprop", {"momentum": 0.9}, lambda: optax.rmsprop(lr, momentum=0.9))
    add(
        "rmsprop",
        {"momentum": 0.9, "nesterov": "true", "initial_accumulator_value": 1.0},
        lambda: optax.rmsprop(lr, momentum=0.9, nesterov=True, initial_scale=1.0),
    )
    add("rmsprop", {"centered": "true", "eps": 0.001}, lambda: optax.rmsprop(lr, centered=True, eps=0.001))
    corrected = {"bias_correction": "true"}
    add("rmsprop", corrected, lambda: optax.rmsprop(lr, bias_correction=True))
    add(
        "rmsprop",
        corrected | {"alpha": 0.99, "eps": 0.01, "eps_place": "outside"},
        lambda: optax.rmsprop(lr, 0.99, 0.01, eps_in_sqrt=False, bias_correction=True),
    )
    add(
        "rmsprop",
        corrected | {"momentum": 0.9, "nesterov": "true"},
        lambda: optax.rmsprop(lr, momentum=0.9, nesterov=True, bias_correction=True),
    )
    add("adadelta", {}, lambda: optax.adadelta(1.0))
    add("adam", {}, lambda: optax.adam(lr))
    add("adam", {"eps_root": 1e-4}, lambda: optax.adam(lr, eps_root=1e-4))
    add("adam", {"amsgrad": "corrected", "beta2": 0.9}, lambda: optax.amsgrad(lr, b2=0.9))
    first, second = {"bias_correction1": "false"}, {"amsgrad": "raw", "bias_correction2": "false", "beta2": 0.9}
    add("adam", second, lambda: optax.amsgrad(lr, b2=0.9, bias_correction_nu=False))
    add(
        "adam",
        first | second,
        lambda: optax.amsgrad(lr, b2=0.9, bias_correction_mu=False, bias_correction_nu=False),
    )
    add(
        "adam",
        {"amsgrad": "corrected", "beta2": 0.9} | first,
        lambda: optax.amsgrad(lr, b2=0.9, bias_correction_mu=False),
    )
    add("adamw", {}, lambda: optax.adamw(lr))
    add("adamw", {"weight_decay": 0.1}, lambda: optax.adamw(lr, weight_decay=0.1))

    contrib = optax.contrib
    decoupled = {"decay": "decoupled", "weight_decay": 0.1}
    coupled = {"decay": "coupled", "weight_decay": 0.1}
    betas = {"beta1": 0.5, "beta2": 0.9}

    def decayed(form, scale):
        """A rule that has no weight decay in optax, with one."""
        decay = optax.add_decayed_weights(form["weight_decay"])
        parts = [decay, scale] if form is coupled else [scale, decay]
        return optax.chain(*parts, optax.scale_by_learning_rate(lr))

    add("adamax", {}, lambda: optax.adamax(lr))
    add("adamax", {"eps": 0.01} | betas, lambda: optax.adamax(lr, b1=0.5, b2=0.9, eps=0.01))
    add("adamax", decoupled, lambda: optax.adamaxw(lr, weight_decay=0.1))
    add("adamax", coupled, lambda: decayed(coupled, optax.scale_by_adamax()))
    add("nadam", {}, lambda: optax.adam(lr, nesterov=True))
    add("nadam", {"eps": 0.01} | betas, lambda: optax.nadam(lr, b1=0.5, b2=0.9, eps=0.01))
    add("nadamw", {}, lambda: optax.nadamw(lr))
    add("nadamw", {"weight_decay": 0.1} | betas, lambda: optax.nadamw(lr, b1=0.5, b2=0.9, weight_decay=0.1))
    add("radam", {}, lambda: optax.radam(lr))
    add("radam", {"eps": 0.01} | betas, lambda: optax.radam(lr, b1=0.5, b2=0.9, eps=0.01))
    add("radam", {"eps_root": 1e-4}, lambda: optax.radam(lr, eps_root=1e-4))
    add("radam", {"threshold": 4.5}, lambda: optax.radam(lr, threshold=4.5))
    add("radam", {"threshold": 20.0}, lambda: optax.radam(lr, threshold=20.0))
    add("radam", {"nesterov": "true"}, lambda: optax.radam(lr, nesterov=True))
    add("radam", decoupled, lambda: decayed(decoupled, optax.scale_by_radam()))
    add("rprop", {}, lambda: optax.rprop(lr))
    add(
        "rprop",
        {"lr": 0.1, "eta_minus": 0.3, "eta_plus": 1.5},
        lambda: optax.rprop(0.1, eta_minus=0.3, eta_plus=1.5),
    )
    add(
        "rprop",
        {"step_size_min": 5e-4, "step_size_max": 2e-3},
        lambda: optax.rprop(lr, min_step_size=5e-4, max_step_size=2e-3),
    )
    add("signsgd", {}, lambda: optax.sign_sgd(lr))
    add("signsgd", decoupled, lambda: decayed(decoupled, optax.scale_by_sign()))
    add("signum", {}, lambda: optax.signum(lr))
    add("signum", {"momentum": 0.5}, lambda: optax.signum(lr, beta=0.5))
    add("signum", {"lr": 0.1, "momentum": 0.99}, lambda: optax.signum(0.1, beta=0.99))

    def lion(decay=1e-3, **settings):
        parts = optax.scale_by_lion(**settings), optax.add_decayed_weights(decay)
        return optax.chain(*parts, optax.scale_by_learning_rate(lr))

    add("lion", {}, lambda: optax.lion(lr))
    add("lion", {"weight_decay": 0.1} | betas, lambda: optax.lion(lr, b1=0.5, b2=0.9, weight_decay=0.1))
    add("lion", {"mode": "refined"}, lambda: lion(mode="refined"))
    add(
        "lion",
        {"mode": "refined", "weight_decay": 0.1} | betas,
        lambda: lion(0.1, mode="refined", b1=0.5, b2=0.9),
    )
    add("adabelief", {}, lambda: optax.adabelief(lr))
    add("adabelief", {"nesterov": "true"}, lambda: optax.adabelief(lr, nesterov=True))
    add("adabelief", {"eps": 0.01} | betas, lambda: optax.adabelief(lr, b1=0.5, b2=0.9, eps=0.01))
    add(
        "adabelief",
        {"nesterov": "true", "eps": 1e-8, "eps_root": 1e-4} | betas,
        lambda: optax.adabelief(lr, b1=0.5, b2=0.9, eps=1e-8, eps_root=1e-4, nesterov=True),
    )
    add("adabelief", decoupled, lambda: decayed(decoupled, optax.scale_by_belief()))
    add("yogi", {}, lambda: optax.yogi(lr))
    add("yogi", {"eps": 0.01} | betas, lambda: optax.yogi(lr, b1=0.5, b2=0.9, eps=0.01))
    add(
        "yogi",
        {"eps_root": 1e-4, "initial_accumulator_value": 0.1},
        lambda: optax.chain(
            optax.scale_by_yogi(eps_root=1e-4, initial_accumulator_value=0.1), optax.scale_by_learning_rate(lr)
        ),
    )
    add("yogi", decoupled, lambda: decayed(decoupled, optax.scale_by_yogi()))
    add("adan", {}, lambda: optax.adan(lr))
    add("adan", {"eps": 0.01, "eps_root": 0.0}, lambda: optax.adan(lr, eps=0.01, eps_root=0.0))
    add(
        "adan",
        {"beta1": 0.9, "beta2": 0.5, "beta3": 0.9, "diff_weight": 0.5, "weight_decay": 0.1},
        lambda: optax.adan(lr, b1=0.9, b2=0.5, b3=0.9, weight_decay=0.1),
    )

    def beta3_warmup(count, beta1=0.9, beta3=0.9999, steps=20):
        part = (int(count) + 1) / steps
        inverse = (1 - part) / math.log(beta1) + part / math.log(beta3)
        return min(math.exp(1 / inverse), beta3) if part < 1 else beta3

    add("ademamix", {}, lambda: contrib.ademamix(lr))
    add(
        "ademamix",
        {"beta3": 0.99, "alpha": 2.0, "eps": 0.01, "eps_root": 1e-4, "weight_decay": 0.1} | betas,
        lambda: contrib.ademamix(lr, 0.5, 0.9, 0.99, alpha=2.0, eps=0.01, eps_root=1e-4, weight_decay=0.1),
    )
    add(
        "ademamix",
        {"alpha_warmup": 30},
        lambda: contrib.ademamix(lr, alpha=lambda count: min((int(count) + 1) * 5.0 / 30, 5.0)),
    )
    add("ademamix", {"beta3_warmup": 20}, lambda: contrib.ademamix(lr, b3=beta3_warmup))
    add("adopt", {}, lambda: contrib.adopt(lr))
    add("adopt", {"clip": "false"}, lambda: contrib.adopt(lr, use_clipping=False))
    add("adopt", {"eps": 0.01} | betas, lambda: contrib.adopt(lr, b1=0.5, b2=0.9, eps=0.01))
    add(
        "adopt",
        {"clip": "false", "eps": 0.01} | betas,
        lambda: contrib.adopt(lr, b1=0.5, b2=0.9, eps=0.01, use_clipping=False),
    )
    add("adopt", {"nesterov": "true"}, lambda: contrib.adopt(lr, nesterov=True))
    add("adopt", decoupled, lambda: decayed(decoupled, contrib.scale_by_adopt()))

    add("lars", {}, lambda: optax.lars(0.1))
    add("lars", {"lr": 0.01, "trust_coefficient": 0.1, "nesterov": "true"}, lambda: optax.lars(0.01, trust_coefficient=0.1, nesterov=True))
    add("lars", coupled | {"eps": 0.01}, lambda: optax.lars(0.1, weight_decay=0.1, eps=0.01))
    add("lamb", {}, lambda: optax.lamb(lr))
    add("lamb", {"weight_decay": 0.1}, lambda: optax.lamb(lr, weight_decay=0.1))
    add("lamb", {"beta1": 0.5, "beta2": 0.9, "eps": 0.01, "eps_root": 0.001}, lambda: optax.lamb(lr, b1=0.5, b2=0.9, eps=0.01, eps_root=0.001))
    add("novograd", {}, lambda: optax.novograd(lr))
    add("novograd", {"weight_decay": 0.1, "beta1": 0.5, "beta2": 0.9}, lambda: optax.novograd(lr, b1=0.5, b2=0.9, weight_decay=0.1))
    add("dog", {}, lambda: contrib.dog())
    dog = {"init_step": ("heuristic", 0.01), "eps": 0.1, "weight_decay": 0.1}
    add("dog", {"init_step": 0.01, "eps": 0.1} | coupled, lambda: contrib.dog(**dog))
    for form in ("distance", "learning_rate"):
        options = {"init_step": 1e-5, "init_step_form": form.replace("_", "-")}
        add("dog", options, lambda form=form: contrib.dog(init_step=(form, 1e-5)))
    add("dowg", {}, lambda: contrib.dowg())
    add("dowg", {"init_sq_distance": 0.01, "lr": 0.5}, lambda: contrib.dowg(0.5, init_estim_sq_dist=0.01))

    add("prodigy", {}, lambda: contrib.prodigy())
    add("prodigy", {"d0": 0.01, "safeguard_warmup": "true", "growth": 0.5}, lambda: contrib.prodigy(estim_lr0=0.01, safeguard_warmup=True, estim_lr_coef=0.5))
    add("prodigy", {"weight_decay": 0.1, "beta2": 0.9}, lambda: contrib.prodigy(betas=(0.9, 0.9), weight_decay=0.1))
    add("prodigy", {"d0": 0.01, "beta3": 0.9}, lambda: contrib.prodigy(beta3=0.9, estim_lr0=0.01))
    add("dadapt_adam", {}, lambda: contrib.dadapt_adamw())
    add("dadapt_adam", {"weight_decay": 0.1, "d0": 0.01}, lambda: contrib.dadapt_adamw(weight_decay=0.1, estim_lr0=0.01))
    add("schedulefree_sgd", {"lr": 0.01}, lambda: contrib.schedule_free_sgd(0.01))
    add("schedulefree_sgd", {"lr": 0.01, "momentum": 0.5} | coupled, lambda: contrib.schedule_free_sgd(0.01, b1=0.5, weight_decay=0.1))
    add("schedulefree_adamw", {}, lambda: contrib.schedule_free_adamw())
    add("schedulefree_adamw", {"weight_decay": 0.1, "beta2": 0.9, "lr": 0.01}, lambda: contrib.schedule_free_adamw(0.01, b2=0.9, weight_decay=0.1))

    def madgrad(learning_rate=0.01, **settings):
        """With a count as wide as the parameters: the root of an int32 is a float32, even in a float64 run."""
        optimizer = contrib.madgrad(learning_rate, **settings)

        def init(params):
            decay, state = optimizer.init(params)
            return decay, state._replace(count=jnp.zeros([], f"int{8 * params.dtype.itemsize}"))

        return optimizer._replace(init=init)

    add("madgrad", {}, madgrad)
    add("madgrad", {"lr": 0.1, "momentum": 0.5, "eps": 0.01}, lambda: madgrad(0.1, momentum=0.5, eps=0.01))
    add("madgrad", {"momentum": 0.0}, lambda: madgrad(momentum=0.0))
    add("madgrad", coupled, lambda: madgrad(weight_decay=0.1))

    def sophia(**settings):
        """With a curvature that is HESSIAN at all steps: its average is never moved by an estimate."""
        nothing = optax.stateless(lambda updates, params: jnp.zeros_like(updates))
        optimizer = contrib.sophia(lr, b2=1.0, hessian_diagonal_fn=nothing, **settings)

        def init(params):
            first, *others = optimizer.init(params)
            return first._replace(nu=jnp.asarray(HESSIAN, dtype=params.dtype)), *others

        return optimizer._replace(init=init)

    add("sophia", {}, sophia)
    add("sophia", {"gamma": 0.1, "clip": 0.5}, lambda: sophia(gamma=0.1, clip_threshold=0.5))
    add(
        "sophia",
        {"beta1": 0.5, "eps": 0.01, "weight_decay": 0.1},
        lambda: sophia(b1=0.5, eps=0.01, weight_decay=0.1),
    )


def write(out):
    print(versions(), file=out)
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
    size = pack("rules.txt.gz", write)
    print(len(CASES), "cases,", size, "bytes", file=sys.stderr)

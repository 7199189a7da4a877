"""Records what PyTorch, Keras and optax do around a rule's step: clipping, loss scaling, averages of the weights,
constraints, Lookahead.

    KERAS_BACKEND=jax JAX_ENABLE_X64=1 venv/bin/python tests/golden/passes.py

in the environment that tests/golden/rules.py describes. Writes tests/golden/passes.txt.gz, in the form that
tests/golden/record.py describes. A model has three tensors, numbered from 0. What a run gives is one of:

    grads.N STEP       the gradient of tensor N after it was clipped, at that step; each step for itself
    params.N STEP      the parameters after so many steps
    average.N STEP     their average, or the gradients', after so many
    fast.N, slow.N STEP    Lookahead's two sets of weights
    total_norm STEP    the norm that a clip found
    scale, growth_tracker, found_inf all    one number for each step
"""

import os
import random
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
import numpy  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

from record import pack, row, versions  # noqa: E402

SHAPES = [(7,), (5, 3), (3, 11)]
STEPS = 12
SHOWN = (1, 2, 3, 5, 6, STEPS)  # of what goes on from step to step
CLIPPED = (1, 2, 3, 4)  # of what looks at each step alone


def inputs():
    """Parameters, with a unit of zeros, and a gradient for each step: the third is large, the fourth zero."""
    source = random.Random(20261124)

    def tensor(shape, scale=1.0):
        size = numpy.prod(shape)
        values = [scale * source.uniform(-1, 1) * 10.0 ** (i % 4 - 2) for i in range(size)]
        return numpy.float32(values).reshape(shape)

    params = [tensor(shape) for shape in SHAPES]
    params[1][:, 1] = 0.0
    scales = {3: 1000.0, 4: 0.0}
    return params, [[tensor(shape, scales.get(step, 1.0)) for shape in SHAPES] for step in range(1, STEPS + 1)]


PARAMS, GRADS = inputs()

# Each case: framework, what, options, and a function from a dtype to what it gave: (kind, name, values) each.
CASES = []


def case(framework, what, options, run):
    CASES.append((framework, what, options, run))


def arrays(dtype, values):
    return [jnp.asarray(value, dtype=dtype) for value in values]


def tensors(dtype, values):
    return [torch.tensor(value, dtype=getattr(torch, dtype)) for value in values]


def each(kind, name, values):
    """One result for each tensor."""
    return [(f"{kind}.{i}", name, numpy.asarray(value).flatten()) for i, value in enumerate(values)]


def clips(framework, what, options, clip):
    """A clip sees the gradients of a step, and the parameters."""

    def run(dtype):
        return [result for step in CLIPPED for result in clip(dtype, step, GRADS[step - 1])]

    case(framework, what, options, run)


def torch_clips():
    def params(dtype, grads):
        made = [torch.nn.Parameter(value) for value in tensors(dtype, PARAMS)]
        for param, grad in zip(made, tensors(dtype, grads)):
            param.grad = grad
        return made

    def norm(max_norm, norm_type):
        def clip(dtype, step, grads):
            made = params(dtype, grads)
            total = torch.nn.utils.clip_grad_norm_(made, max_norm, norm_type)
            return [("total_norm", step, [total])] + each("grads", step, [param.grad for param in made])

        clips("torch", "clip_grad_norm", {"max_norm": max_norm, "norm_type": norm_type}, clip)

    for max_norm in (0.01, 1.0, 30.0):
        norm(max_norm, 2.0)
    norm(1.0, 1.0)
    norm(1.0, float("inf"))

    def value(dtype, step, grads):
        made = params(dtype, grads)
        torch.nn.utils.clip_grad_value_(made, 0.25)
        return each("grads", step, [param.grad for param in made])

    clips("torch", "clip_grad_value", {"clip_value": 0.25}, value)


def optax_clips():
    def add(what, options, transformation):
        def clip(dtype, step, grads):
            params = arrays(dtype, PARAMS)
            clipped, _ = transformation.update(arrays(dtype, grads), transformation.init(params), params)
            return each("grads", step, clipped)

        clips("optax", what, options, clip)

    for max_norm in (0.01, 1.0, 30.0):
        add("clip_by_global_norm", {"max_norm": max_norm}, optax.clip_by_global_norm(max_norm))
    add("clip_by_block_rms", {"threshold": 0.5}, optax.clip_by_block_rms(0.5))
    for clipping, eps in ((0.01, 1e-3), (0.5, 0.1)):
        add("adaptive_grad_clip", {"clipping": clipping, "eps": eps}, optax.adaptive_grad_clip(clipping, eps))
    add("centralize", {}, optax.centralize())


def keras_clips():
    def add(options):
        def clip(dtype, step, grads):
            keras.config.set_floatx(dtype)
            clipped = keras.optimizers.SGD(**options)._clip_gradients(arrays(dtype, grads))
            return each("grads", step, clipped)

        clips("keras", *options, options, clip)

    for norm in (0.01, 1.0, 30.0):
        add({"clipnorm": norm})
        add({"global_clipnorm": norm})
    add({"clipvalue": 0.25})


def keras_constraints():
    def add(what, options, constraint):
        def run(dtype):
            keras.config.set_floatx(dtype)
            return each("params", 1, [constraint(value) for value in arrays(dtype, PARAMS)])

        case("keras", what, options, run)

    for max_value in (0.5, 5.0):
        add("max_norm", {"max_value": max_value, "axis": 0}, keras.constraints.MaxNorm(max_value, axis=0))
    # The last axis: of a vector the only one, of a matrix its rows.
    add("max_norm", {"max_value": 0.5, "axis": -1}, keras.constraints.MaxNorm(0.5, axis=-1))


# Which steps overflow.
OVERFLOWS = (4, 7, 8)


def torch_scaling():
    def update(scale, growth, backoff, interval):
        def run(dtype):
            now, tracker = torch.tensor([scale]), torch.zeros(1, dtype=torch.int32)
            series = {"found_inf": [], "scale": [], "growth_tracker": []}
            for step in range(1, STEPS + 1):
                found = float(step in OVERFLOWS)
                torch._amp_update_scale_(now, tracker, torch.tensor([found]), growth, backoff, interval)
                for values, value in zip(series.values(), (found, now.item(), tracker.item())):
                    values.append(value)
            return [(kind, "all", values) for kind, values in series.items()] if dtype == "float32" else []

        options = {"init_scale": scale, "growth_factor": growth, "backoff_factor": backoff, "growth_interval": interval}
        case("torch", "amp_update_scale", options, run)

    update(65536.0, 2.0, 0.5, 3)
    update(1000.0, 1.5, 0.3, 1)
    update(8.0, 2.0, 0.5, 2000)
    update(2.0**126, 2.0, 0.5, 1)  # would grow out of float32
    update(2.0**-147, 2.0, 0.25, 2)  # and shrink to zero

    settings = {"init_scale": 1000.0, "growth_factor": 1.5, "backoff_factor": 0.3, "growth_interval": 2}

    def scaler(dtype):
        """A whole run: scaled gradients, some infinite, of steps that are left out then."""
        params = [torch.nn.Parameter(value) for value in tensors(dtype, PARAMS)]
        optimizer = torch.optim.SGD(params, lr=0.1)
        scaler = torch.amp.GradScaler("cpu", **settings)
        scaler.scale(torch.ones(1))
        results, scales = [], []
        for step, grads in enumerate(GRADS, 1):
            for param, grad in zip(params, tensors(dtype, grads)):
                param.grad = grad * scaler.get_scale()
            if step in OVERFLOWS:
                params[1].grad[2, 1] = float("inf")
            scaler.unscale_(optimizer)
            if step in CLIPPED and step not in OVERFLOWS:
                results += each("grads", step, [param.grad for param in params])
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            if step in SHOWN:
                results += each("params", step, [param.detach() for param in params])
        return results + [("scale", "all", scales)]

    case("torch", "grad_scaler", {"lr": 0.1} | settings, scaler)


def torch_averages():
    """Of weights that are GRADS, one after the other."""

    def add(options, **settings):
        def run(dtype):
            model = torch.nn.ParameterList(tensors(dtype, GRADS[0]))
            averaged = torch.optim.swa_utils.AveragedModel(model, **settings)
            results = []
            for step, weights in enumerate(GRADS, 1):
                for param, value in zip(model, tensors(dtype, weights)):
                    param.data.copy_(value)
                averaged.update_parameters(model)
                if step in SHOWN:
                    results += each("average", step, [param.detach() for param in averaged.module])
            return results

        case("torch", "averaged_model", options, run)

    utils = torch.optim.swa_utils
    add({"form": "mean"})
    for decay in (0.9, 0.999):
        add({"form": "ema", "decay": decay}, avg_fn=utils.get_ema_avg_fn(decay))
        add({"form": "multi_ema", "decay": decay}, multi_avg_fn=utils.get_ema_multi_avg_fn(decay))


def optax_averages():
    """Of gradients, and of weights that are GRADS, one after the other, from PARAMS on."""

    def ema(decay, debias):
        def run(dtype):
            transformation = optax.ema(decay, debias=debias)
            state = transformation.init(arrays(dtype, PARAMS))
            results = []
            for step, grads in enumerate(GRADS, 1):
                average, state = transformation.update(arrays(dtype, grads), state)
                results += each("average", step, average) if step in SHOWN else []
            return results

        case("optax", "ema", {"decay": decay, "debias": str(debias).lower()}, run)

    ema(0.9, True)
    ema(0.9, False)

    def incremental(step_size):
        def run(dtype):
            average, results = arrays(dtype, PARAMS), []
            for step, weights in enumerate(GRADS, 1):
                average = optax.incremental_update(arrays(dtype, weights), average, step_size)
                results += each("average", step, average) if step in SHOWN else []
            return results

        case("optax", "incremental_update", {"step_size": step_size}, run)

    incremental(0.1)
    incremental(0.001)


def keras_averages():
    def add(momentum, frequency):
        settings = {"ema_momentum": momentum, "ema_overwrite_frequency": frequency}

        def run(dtype):
            keras.config.set_floatx(dtype)
            params = [keras.Variable(value, dtype=dtype) for value in PARAMS]
            optimizer = keras.optimizers.SGD(0.1, use_ema=True, **settings)
            optimizer.build(params)
            results = []
            for step, grads in enumerate(GRADS, 1):
                optimizer.apply(arrays(dtype, grads), params)
                if step in SHOWN:
                    averages = optimizer._model_variables_moving_average
                    results += each("params", step, [param.value for param in params])
                    results += each("average", step, [average.value for average in averages])
            return results

        used = {name: value for name, value in settings.items() if value is not None}
        case("keras", "use_ema", {"lr": 0.1} | used, run)

    add(0.9, None)
    add(0.99, None)
    add(0.9, 3)


def lookahead():
    def add(rule, sync_period, slow_step_size, fast):
        def run(dtype):
            optimizer = optax.lookahead(fast, sync_period, slow_step_size)
            params = optax.LookaheadParams.init_synced(arrays(dtype, PARAMS))
            state = optimizer.init(params)
            results = []
            for step, grads in enumerate(GRADS, 1):
                updates, state = optimizer.update(arrays(dtype, grads), state, params)
                params = optax.apply_updates(params, updates)
                if step in SHOWN:
                    results += each("fast", step, params.fast) + each("slow", step, params.slow)
            return results

        options = {"rule": rule, "lr": 0.01, "sync_period": sync_period, "slow_step_size": slow_step_size}
        case("optax", "lookahead", options, run)

    add("sgd", 5, 0.5, optax.sgd(0.01))
    add("momentum", 3, 0.8, optax.sgd(0.01, momentum=0.9))
    add("adam", 5, 0.5, optax.adam(0.01))
    add("adam", 1, 0.3, optax.adam(0.01))


def write(out):
    print(versions(), file=out)
    for i, shape in enumerate(SHAPES):
        print(f"shape.{i}", row(shape), file=out)
    for i, value in enumerate(PARAMS):
        print(f"params.{i}", row(value.ravel()), file=out)
    for grads in GRADS:
        for i, value in enumerate(grads):
            print(f"grads.{i}", row(value.ravel()), file=out)
    for framework, what, options, run in CASES:
        print("case", framework, what, *(f"{name}={value}" for name, value in options.items()), file=out)
        for dtype in ("float64", "float32"):
            for kind, name, values in run(dtype):
                print(dtype, kind, name, row(values), file=out)


if __name__ == "__main__":
    torch_clips()
    optax_clips()
    keras_clips()
    keras_constraints()
    torch_scaling()
    torch_averages()
    optax_averages()
    keras_averages()
    lookahead()
    size = pack("passes.txt.gz", write)
    print(len(CASES), "cases,", size, "bytes", file=sys.stderr)

//! The registry: every rule, in order of growing complexity.
//!
//! What stands in this table is in [`AnyRule`], and so in the conformance and accuracy tests, the benchmarks, the fuzz
//! target, the `digits` example and the README; a test says so when one of them lacks it.

use crate::rule::registry::registry;

pub(crate) mod parts;

// Each line: the module, which is the rule's name; the variant, which has the presets; the type of the rule; the
// presets, the usual one first. At the end, in brackets, the names that frameworks have for some of them.
registry! {
    sgd: Sgd(Sgd) as torch, keras, optax;
    momentum: Momentum(Momentum) as torch, keras, optax, burn, textbook;
    sgdw: SgdW(Momentum) as paper, torch;
    qhm: Qhm(Qhm) as paper;
    signsgd: SignSgd(SignSgd) as optax;
    signum: Signum(Signum) as optax, paper;
    lion: Lion(Lion) as paper, keras, optax;
    rprop: Rprop(Rprop) as torch, optax;
    asgd: Asgd(Asgd) as torch;
    adagrad: AdaGrad(AdaGrad) as torch, keras, optax;
    rmsprop: RmsProp(RmsProp) as torch, keras, optax, dfdx;
    adadelta: Adadelta(Adadelta) as torch, keras, optax;
    adam: Adam(Adam) as torch, keras, optax;
    adamw: AdamW(Adam) as torch, keras, optax;
    adamax: Adamax(Adamax) as torch, keras, optax;
    nadam: NAdam(NAdam) as torch, keras, optax;
    nadamw: NAdamW(NAdam) as torch, optax;
    radam: RAdam(RAdam) as torch, optax;
    adabelief: AdaBelief(AdaBelief) as optax, paper;
    yogi: Yogi(Yogi) as optax;
    adabound: AdaBound(AdaBound) as paper;
    amsbound: AmsBound(AdaBound) as paper;
    qhadam: QhAdam(QhAdam) as paper;
    adopt: Adopt(Adopt) as paper, optax;
    ademamix: AdEmaMix(AdEmaMix) as paper, optax;
    adan: Adan(Adan) as paper, optax;
    madgrad: Madgrad(Madgrad) as paper, optax;
    ftrl: Ftrl(Ftrl) as keras;
    sophia: Sophia(Sophia) as paper, optax;
    ngd: Ngd(Ngd) as paper;
    lars: Lars(Lars) as optax;
    lamb: Lamb(Lamb) as optax, keras;
    novograd: NovoGrad(NovoGrad) as optax;
    dog: DoG(DoG) as optax;
    dowg: DoWG(DoWG) as optax;
    prodigy: Prodigy(Prodigy) as optax;
    dadapt_adam: DAdaptAdam(DAdaptAdam) as optax;
    schedulefree_sgd: ScheduleFreeSgd(ScheduleFreeSgd) as paper, optax;
    schedulefree_adamw: ScheduleFreeAdamW(ScheduleFreeAdamW) as paper, keras, optax;
    [
        sign_sgd = signsgd;
        dadapt_adamw = dadapt_adam;
        schedule_free_sgd = schedulefree_sgd;
        schedule_free_adamw = schedulefree_adamw;
    ]
    [
        amsgrad: Adam(optax_amsgrad) as optax;
        adamaxw: Adamax(optax_adamaxw) as optax;
    ]
}

//! The phases of a pass: checks, what has to be known before the step, the decision, the step.

use crate::{
    error::Error,
    name::Name,
    pass::{
        check::check_model,
        gradient::Preparation,
        pass::{Clip, NonFinite, Pass, ZeroGrads},
        scratch::Scratch,
        tile::Work,
    },
    rule::{
        regularize::Prepare,
        rule::Rule,
        slots::{Role, Slot, full_slots, has_only_full},
    },
    sweep::{
        erased::SweepWith,
        groups::{OneRule, Program},
        measure::measure,
    },
    tensor::{
        grad_sums::GradSums,
        report::PassReport,
        tensor::{Decision, Tensor},
        view::View,
    },
    threads::{
        join::Join,
        workers::{Team, Workers},
    },
};

impl<J: Join> Workers<J> {
    /// One step of `rule` for all `tensors`, with everything else that `pass` asks for.
    ///
    /// Whatever the threads, the backend and the order of the tensors: the same bits.
    ///
    /// It is step number `step` of each tensor that has no [counter](Tensor::counter) of its own. A refused step is none:
    /// the next call has the same number, which [`PassReport::next_step`] gives. A tensor that is skipped while others are
    /// stepped falls behind by one; with a counter of its own it counts right, without one its rule takes it for a step
    /// ahead.
    ///
    /// # Errors
    /// As [`step_model`](Self::step_model), and [`Error::Rows`], [`Error::ShardOffset`], [`Error::FormatBounds`] or
    /// [`Error::Pass`] where tensor and pass do not fit, [`Error::NoEffect`] where the pass has a part that no tensor of the
    /// list has what it takes for; nothing has changed then. A step that the pass refuses is no error, but in the report.
    pub fn step_pass<R: Rule>(
        &self,
        pass: &Pass,
        rule: &R,
        step: u64,
        tensors: &mut [Tensor<'_>],
    ) -> Result<PassReport, Error> {
        self.check_host()?;
        check_model(pass, rule.erased(), step, tensors)?;
        pass.check_effect(tensors.iter())?;
        tensors.iter_mut().for_each(|tensor| pass.begin(tensor));
        Ok(run_pass(&self.team(), pass, &OneRule(rule.erased()), tensors))
    }

    /// The first half of [`step_pass`](Self::step_pass), for tensors that are shards: finds each one's
    /// [sums](Tensor::sums), and changes nothing. Between the halves the sums of a tensor's shards are to be
    /// [merged](GradSums::merge), and given to each of them.
    ///
    /// # Errors
    /// As [`step_pass`](Self::step_pass), but for [`Error::NoEffect`]: what these tensors lack, others may have elsewhere.
    pub fn measure_pass<R: Rule>(
        &self,
        pass: &Pass,
        rule: &R,
        step: u64,
        tensors: &mut [Tensor<'_>],
    ) -> Result<(), Error> {
        self.check_host()?;
        check_model(pass, rule.erased(), step, tensors)?;
        tensors.iter_mut().for_each(|tensor| pass.begin(tensor));
        find_sums(&self.team(), pass, tensors);
        Ok(())
    }

    /// The second half: takes the step, knowing the sums of every tensor of the model, those that have no part here
    /// included. The same bits as without shards, however many there are.
    ///
    /// ```
    /// use gradstep::{GradSums, Pass, Tensor, Sgd, Workers};
    ///
    /// let (workers, pass) = (Workers::serial(), Pass::new().clip_global_norm(1.0)?);
    /// let (mut params, grads) = (vec![0.0_f32; 10_000], vec![0.5_f32; 10_000]);
    /// let (first, second) = params.split_at_mut(4096);
    /// let mut shards = [
    ///     [Tensor::new(first, &grads[..4096], [])?],
    ///     [Tensor::new(second, &grads[4096..], [])?.shard_at(4096)],
    /// ];
    /// let mut sums = GradSums::default();
    /// for shard in &mut shards {
    ///     workers.measure_pass(&pass, &Sgd::torch(), 1, shard)?;
    ///     sums.merge(&shard[0].sums());
    /// }
    /// for shard in &mut shards {
    ///     shard[0].set_sums(sums);
    ///     let report = workers.finish_pass(&pass, &Sgd::torch(), 1, shard, &[sums])?;
    ///     assert_eq!(report.grad_norm, Some(50.0));
    /// }
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`measure_pass`](Self::measure_pass), and [`Error::Pass`] for what would have to know more of a tensor than its sums: a
    /// rule with norms of its own, and adaptive clipping without rows.
    pub fn finish_pass<R: Rule>(
        &self,
        pass: &Pass,
        rule: &R,
        step: u64,
        tensors: &mut [Tensor<'_>],
        model: &[GradSums],
    ) -> Result<PassReport, Error> {
        self.check_host()?;
        check_model(pass, rule.erased(), step, tensors)?;
        for (place, tensor) in tensors.iter().enumerate() {
            let refusal = |reason| Err(Error::Pass { tensor: Name::number(place), reason });
            if !has_only_full(rule.slots()) {
                return refusal("the rule's own norms of a whole tensor cannot be had from shards");
            }
            if tensor.extras.rows.is_none() && matches!(pass.clip, Clip::Adaptive { .. }) {
                return refusal("adaptive clipping of shards needs rows");
            }
        }
        tensors.iter_mut().for_each(|tensor| pass.begin(tensor));
        let all = pass.combine(model.iter().copied());
        Ok(finish(&self.team(), pass, &OneRule(rule.erased()), tensors, &all))
    }
}

/// A pass over tensors that have been checked.
pub(crate) fn run_pass(
    team: &Team<'_>,
    pass: &Pass,
    program: &dyn Program,
    tensors: &mut [Tensor<'_>],
) -> PassReport {
    if pass.asks_for_nothing() && tensors.iter().all(Tensor::is_plain) {
        return team.step_plain(program, tensors);
    }
    find_sums(team, pass, tensors);
    let all = pass.combine(tensors.iter().map(Tensor::sums));
    finish(team, pass, program, tensors, &all)
}

fn find_sums(team: &Team<'_>, pass: &Pass, tensors: &mut [Tensor<'_>]) {
    tensors.iter_mut().for_each(Tensor::forget_sums);
    if pass.looks_ahead(tensors) {
        let preparation = Preparation::before_clipping(pass, team.backend);
        team.over_views(tensors, &|view, scratch: &mut Scratch| {
            let sums = preparation.measure(&view, scratch);
            view.sums.update(|all| all.merge(&sums));
        });
    }
}

fn finish(
    team: &Team<'_>,
    pass: &Pass,
    program: &dyn Program,
    tensors: &mut [Tensor<'_>],
    all: &GradSums,
) -> PassReport {
    let refused = pass.check == Some(NonFinite::Refuse) && all.non_finite > 0;
    let looked = pass.looks_ahead(tensors);
    let preparation = Preparation::of(pass, team.backend);
    for tensor in tensors.iter_mut() {
        let whole = tensor.whole_sums();
        let skip = refused || pass.check == Some(NonFinite::Skip) && whole.non_finite > 0;
        let clip = pass.clip_factor(whole, all);
        pass.decide(tensor, skip, clip, &preparation);
    }
    if !refused {
        for tensor in tensors.iter_mut().filter(|tensor| tensor.plan.tag.fresh && !tensor.plan.skip) {
            tensor.write_first_state(program.rule(tensor.plan.tag));
        }
    }
    if program.measures() && !refused {
        measure(team.backend, program, tensors, &|tensor, sweep| {
            preparation.feed(&mut tensor.view(), &mut Scratch::default(), sweep);
        });
    }
    if !refused || pass.zero_grads == ZeroGrads::Always {
        team.over_views(tensors, &|view, scratch: &mut Scratch| {
            step(pass, &preparation, program, looked, view, scratch);
        });
    }
    if looked {
        for tensor in tensors.iter().filter(|tensor| !tensor.skipped()) {
            if let Some(slot) = tensor.extras.telemetry {
                slot.merge_unclipped(&tensor.sums().squares);
            }
        }
    }
    tensors.iter_mut().filter(|tensor| !tensor.plan.skip).for_each(|tensor| pass.count(tensor));
    let stepped = tensors.iter().filter(|tensor| !tensor.skipped());
    PassReport {
        refused,
        stepped: stepped.clone().count(),
        skipped: tensors.len() - stepped.clone().count(),
        elements: stepped.map(Tensor::len).sum(),
        non_finite: all.non_finite,
        grad_norm: looked.then(|| all.norm()),
    }
}

/// Steps a range. Where the gradients were `measured`, telemetry has its sums from there.
fn step(
    pass: &Pass,
    preparation: &Preparation,
    program: &dyn Program,
    measured: bool,
    mut view: View<'_>,
    scratch: &mut Scratch,
) {
    if view.plan.skip {
        if pass.zero_grads == ZeroGrads::Always {
            view.zero_grads(&(0..view.params.len()));
        }
        return;
    }
    let settled = view.settled;
    let Decision { tag, average, .. } = view.plan;
    let rule = program.rule(tag);
    let Prepare { scale, shrink } = rule.prepare();
    let scale = scale * view.plan.factor;
    let slots = rule.slots();
    // A rule that measures may have moved it already.
    let is_momentum = |slot: &Slot| has_only_full(slots) && slot.role == Role::Momentum;
    let work = Work {
        preparation: *preparation,
        measured,
        scale,
        full_slots: full_slots(slots),
        momentum: slots.iter().position(is_momentum),
        flush: pass.flush_subnormals,
        max_norm: pass.max_norm,
        bounds: pass.bounds.map(|bounds| view.params.as_floats().within(bounds)),
        copy_bounds: pass
            .bounds
            .zip(view.copy.as_ref())
            .map(|(bounds, copy)| copy.as_floats().within(bounds)),
        average,
        overwrite: pass.average.is_some_and(|average| average.overwrites(tag.step)),
        zero_grads: pass.zero_grads != ZeroGrads::Never,
    };
    let with = SweepWith {
        backend: preparation.backend,
        prepare: Prepare { scale, shrink },
        feed: &mut |sweep| work.step(&mut view, scratch, sweep),
    };
    rule.sweep(tag.step, &settled, with);
}

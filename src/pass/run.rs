//! The phases of a pass: checks, what has to be known before the step, the decision, the step.

#[cfg(feature = "std")]
use crate::{
    error::{Error, Name},
    formats::floats::{Floats, Grads},
    pass::{
        gradient::Preparation,
        pass::{Clip, NonFinite, Pass, ZeroGrads},
        tensor::{GradSums, PassTensor, Plan, View},
        tile::{Scratch, Work},
    },
    rule::{
        regularize::Prepare,
        rule::Rule,
        slots::{Role, Slot, full_slots, has_only_full},
    },
    simd::factor::Factor,
    sweep::{
        kernels::{OneRule, Program, Run, Sweep, Tagged, check_rule},
        measure::{MAX_SCALARS, Whole, measure},
    },
    tensor::tensor::{Layout, Tag, read_scalars, write_scalars},
    threads::{
        join::Join,
        queue::{Part, share},
        workers::Workers,
    },
};

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a step that was refused is no error: `refused` says so, and then neither it nor its number was taken"]
pub struct PassReport {
    /// Whether the whole step was refused: nothing has changed then.
    pub refused: bool,
    /// How many tensors were stepped.
    pub stepped: usize,
    /// How many were left as they were.
    pub skipped: usize,
    /// How many elements the stepped ones have together.
    pub elements: usize,
    /// How many elements of all gradients were found to be NaN or infinite; 0 unless the pass looked.
    pub non_finite: u64,
    /// The norm of all gradients that count, before they were clipped by norm; `None` where nothing asked for it.
    pub grad_norm: Option<f64>,
}

impl PassReport {
    /// The number of the step after this one, which was number `step`: the same number again where it was refused. A tensor
    /// that the pass skipped has not taken its step either, which [`PassTensor::counter`] keeps account of.
    #[must_use]
    pub fn next_step(&self, step: u64) -> u64 {
        if self.refused { step } else { step.saturating_add(1) }
    }
}

impl<J: Join> Workers<J> {
    /// One step of `rule` for all `tensors`, with everything else that `pass` asks for.
    ///
    /// Whatever the threads, the backend and the order of the tensors: the same bits.
    ///
    /// It is step number `step` of each tensor that has no [counter](PassTensor::counter) of its own. A refused step is none:
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
        tensors: &mut [PassTensor<'_>],
    ) -> Result<PassReport, Error> {
        self.check_host()?;
        check_model(pass, rule, step, tensors)?;
        pass.check_effect(tensors.iter())?;
        begin(pass, tensors);
        Ok(self.run_pass(pass, &OneRule(rule), tensors))
    }

    /// The first half of [`step_pass`](Self::step_pass), for tensors that are shards: finds each one's
    /// [sums](PassTensor::sums), and changes nothing. Between the halves the sums of a tensor's shards are to be
    /// [merged](GradSums::merge), and given to each of them.
    ///
    /// # Errors
    /// As [`step_pass`](Self::step_pass), but for [`Error::NoEffect`]: what these tensors lack, others may have elsewhere.
    pub fn measure_pass<R: Rule>(
        &self,
        pass: &Pass,
        rule: &R,
        step: u64,
        tensors: &mut [PassTensor<'_>],
    ) -> Result<(), Error> {
        self.check_host()?;
        check_model(pass, rule, step, tensors)?;
        begin(pass, tensors);
        self.find_sums(pass, tensors);
        Ok(())
    }

    /// The second half: takes the step, knowing the sums of every tensor of the model, those that have no part here
    /// included. The same bits as without shards, however many there are.
    ///
    /// ```
    /// use gradstep::{GradSums, Pass, PassTensor, Sgd, Workers};
    ///
    /// let (workers, pass) = (Workers::serial(), Pass::new().clip_global_norm(1.0)?);
    /// let (mut params, grads) = (vec![0.0_f32; 10_000], vec![0.5_f32; 10_000]);
    /// let (first, second) = params.split_at_mut(4096);
    /// let mut shards = [
    ///     [PassTensor::new(first, &grads[..4096], [])?],
    ///     [PassTensor::new(second, &grads[4096..], [])?.shard_at(4096)],
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
        tensors: &mut [PassTensor<'_>],
        model: &[GradSums],
    ) -> Result<PassReport, Error> {
        self.check_host()?;
        check_model(pass, rule, step, tensors)?;
        for (place, tensor) in tensors.iter().enumerate() {
            let refusal = |reason| Err(Error::Pass { tensor: Name::number(place), reason });
            if !has_only_full(rule.slots()) {
                return refusal("the rule's own norms of a whole tensor cannot be had from shards");
            }
            if tensor.rows.is_none() && matches!(pass.clip, Clip::Adaptive { .. }) {
                return refusal("adaptive clipping of shards needs rows");
            }
        }
        begin(pass, tensors);
        Ok(self.finish(pass, &OneRule(rule), tensors, &pass.combine(model.iter().copied())))
    }

    /// A pass over tensors that have been checked.
    pub(crate) fn run_pass(
        &self,
        pass: &Pass,
        program: &impl Program,
        tensors: &mut [PassTensor<'_>],
    ) -> PassReport {
        self.find_sums(pass, tensors);
        let all = pass.combine(tensors.iter().map(PassTensor::sums));
        self.finish(pass, program, tensors, &all)
    }

    fn find_sums(&self, pass: &Pass, tensors: &mut [PassTensor<'_>]) {
        tensors.iter_mut().for_each(PassTensor::forget_sums);
        if pass.looks_ahead(tensors) {
            let preparation = Preparation::before_clipping(pass, self.backend);
            self.over_views(tensors, |view, scratch| {
                let sums = preparation.measure(&view, scratch);
                view.sums.update(|all| all.merge(&sums));
            });
        }
    }

    fn finish(
        &self,
        pass: &Pass,
        program: &impl Program,
        tensors: &mut [PassTensor<'_>],
        all: &GradSums,
    ) -> PassReport {
        let refused = pass.check == Some(NonFinite::Refuse) && all.non_finite > 0;
        let looked = pass.looks_ahead(tensors);
        let preparation = Preparation::of(pass, self.backend);
        for tensor in tensors.iter_mut() {
            let whole = tensor.whole_sums();
            let skip = refused || pass.check == Some(NonFinite::Skip) && whole.non_finite > 0;
            let clip = pass.clip_factor(whole, all);
            tensor.decide(skip, clip, &preparation);
            tensor.plan_average(pass);
        }
        if !refused {
            for tensor in tensors.iter_mut().filter(|tensor| tensor.plan.tag.fresh && !tensor.plan.skip) {
                tensor.start(program.rule(tensor.plan.tag));
            }
        }
        if program.measures() && !refused {
            measure(self.backend, program, tensors, |tensor, sweep| tensor.feed(&preparation, sweep));
        }
        if !refused || pass.zero_grads == ZeroGrads::Always {
            self.over_views(tensors, |view, scratch| {
                step(pass, &preparation, program, looked, view, scratch);
            });
        }
        if looked {
            tensors.iter().for_each(PassTensor::tell_unclipped);
        }
        tensors.iter_mut().filter(|tensor| !tensor.plan.skip).for_each(|tensor| tensor.count(pass));
        let stepped = tensors.iter().filter(|tensor| !tensor.skipped());
        PassReport {
            refused,
            stepped: stepped.clone().count(),
            skipped: tensors.len() - stepped.clone().count(),
            elements: stepped.map(PassTensor::len).sum(),
            non_finite: all.non_finite,
            grad_norm: looked.then(|| all.norm()),
        }
    }

    /// Has the threads work on all tensors, in one fork and join.
    fn over_views(&self, tensors: &mut [PassTensor<'_>], work: impl Fn(View<'_>, &mut Scratch) + Sync) {
        let all_of = |tensors: &mut [PassTensor<'_>]| {
            let mut scratch = Scratch::default();
            tensors.iter_mut().for_each(|tensor| work(tensor.view(), &mut scratch));
        };
        #[cfg(feature = "std")]
        if self.shares(tensors) {
            return share(&self.join, tensors, |part| match part {
                Part::Whole(tensors) => all_of(tensors),
                Part::Range(view) => work(view, &mut Scratch::default()),
            });
        }
        all_of(tensors);
    }
}

/// Steps a range. Where the gradients were `measured`, telemetry has its sums from there.
fn step(
    pass: &Pass,
    preparation: &Preparation,
    program: &impl Program,
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
    let Plan { tag, settled, average, .. } = view.plan;
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
        long: full_slots(slots),
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
    let run = Run {
        backend: preparation.backend,
        prepare: Prepare { scale, shrink },
        feed: &mut |sweep| work.step(&mut view, scratch, sweep),
    };
    rule.run(tag.step, &settled, run);
}

impl Pass {
    /// Refuses a part of the pass for which no tensor of a list has what it takes.
    pub(crate) fn check_effect<'t, 's: 't>(
        &self,
        tensors: impl Iterator<Item = &'t PassTensor<'s>> + Clone,
    ) -> Result<(), Error> {
        let any_has = |part: fn(&PassTensor<'_>) -> bool| tensors.clone().any(part);
        let (rows, average) =
            (any_has(|tensor| tensor.rows.is_some()), any_has(|tensor| tensor.average.is_some()));
        let parts = [
            ("average", self.average.is_some(), average, "an average"),
            ("centralize", self.centralize, rows, "rows"),
            ("max_norm", self.max_norm.is_some(), rows, "rows"),
        ];
        // Where there are no elements, there is nothing to be done to them.
        let lacks = |&(_, asked, there, _): &(_, bool, bool, _)| {
            asked && !there && any_has(|tensor| !tensor.is_empty())
        };
        let missing = parts.into_iter().find(lacks);
        missing.map_or(Ok(()), |(option, _, _, needs)| Err(Error::NoEffect { option, needs }))
    }

    /// Whether anything has to be known of the gradients before the step.
    fn looks_ahead(&self, tensors: &[PassTensor<'_>]) -> bool {
        match self.clip {
            _ if self.check.is_some() => true,
            Clip::TensorNorm(_) | Clip::GlobalNorm(_) => true,
            // Only to tell the norm.
            Clip::Adaptive { .. } => tensors.iter().any(|tensor| tensor.telemetry.is_some()),
            Clip::Nothing => false,
        }
    }

    /// The sums over all tensors that count.
    fn combine(&self, tensors: impl Iterator<Item = GradSums>) -> GradSums {
        tensors.fold(GradSums::default(), |mut all, sums| {
            let left_out = self.check == Some(NonFinite::Skip) && sums.non_finite > 0;
            all.merge(&if left_out {
                GradSums { non_finite: sums.non_finite, ..GradSums::default() }
            } else {
                sums
            });
            all
        })
    }

    /// What clipping by norm multiplies the gradients of a tensor with.
    fn clip_factor(&self, tensor: GradSums, all: &GradSums) -> f64 {
        let (max, norm) = match self.clip {
            Clip::TensorNorm(max) => (max, tensor.norm()),
            Clip::GlobalNorm(max) => (max, all.norm()),
            Clip::Nothing | Clip::Adaptive { .. } => return 1.0,
        };
        let factor = max / (norm + self.clip_eps);
        // A norm that is NaN gives a factor that is.
        if factor > 1.0 { 1.0 } else { factor }
    }
}

impl PassTensor<'_> {
    fn decide(&mut self, skip: bool, clip: f64, preparation: &Preparation) {
        let in_place = matches!(self.grads.as_floats(), Floats::F32(_))
            && preparation.only_scales(self.plan.row_len, self.more_grads);
        let rest = if in_place { f64::from(preparation.unscale.rest) } else { 1.0 };
        let all = Factor::of(clip * rest);
        // What goes through the scratch is unscaled there.
        let factor = if all.is_single() { all } else { Factor::of(clip) };
        self.plan.skip = skip;
        self.plan.factor = factor.rest;
        self.plan.shift = (!all.is_single()).then_some(factor.shift);
    }

    /// Gives all of it to a sweep, tile by tile, with gradients as the rule will see them but for the factor.
    fn feed(&mut self, preparation: &Preparation, sweep: Sweep<'_>) {
        if !self.plan.skip {
            preparation.feed(&mut self.view(), &mut Scratch::default(), sweep);
        }
    }

    fn tell_unclipped(&self) {
        if let Some(slot) = self.telemetry.filter(|_| !self.plan.skip) {
            slot.merge_unclipped(&self.sums().squares);
        }
    }
}

impl Tagged for PassTensor<'_> {
    fn tag(&self) -> Tag {
        self.plan.tag
    }
}

impl Whole for PassTensor<'_> {
    fn scalars(&self, slots: &[Slot]) -> [f64; MAX_SCALARS] {
        read_scalars(slots, &self.state)
    }

    fn settle(&mut self, slots: &[Slot], scalars: [f64; MAX_SCALARS]) {
        write_scalars(slots, &mut self.state, scalars);
        self.plan.settled = scalars;
    }

    fn factor(&self) -> f32 {
        self.plan.factor
    }

    fn is_left_out(&self) -> bool {
        self.plan.skip
    }
}

/// Refuses what cannot be stepped.
fn check_model<R: Rule>(
    pass: &Pass,
    rule: &R,
    step: u64,
    tensors: &mut [PassTensor<'_>],
) -> Result<(), Error> {
    check_rule(rule, step)?;
    let layout = Layout::of(rule);
    for (place, tensor) in tensors.iter_mut().enumerate() {
        tensor.number(step);
        let name = || Name::number(place);
        check_tensor(pass, &layout, tensor, name)?;
        tensor.check_start(rule).map_err(|error| error.of_tensor(name))?;
    }
    Ok(())
}

fn begin(pass: &Pass, tensors: &mut [PassTensor<'_>]) {
    tensors.iter_mut().for_each(|tensor| tensor.begin(pass));
}

/// Whether this pass, with a rule that asks for this state, can step a tensor.
pub(crate) fn check_tensor(
    pass: &Pass,
    layout: &Layout,
    tensor: &PassTensor<'_>,
    name: impl Fn() -> Name,
) -> Result<(), Error> {
    tensor.check_state(layout).map_err(|error| error.of_tensor(&name))?;
    tensor.check_lengths(&name)?;
    pass.bounds.map_or(Ok(()), |bounds| tensor.check_bounds(bounds, &name))?;
    let refusal = |reason| Err(Error::Pass { tensor: name(), reason });
    let read_only = matches!(tensor.grads, Grads::Read(_)) || !tensor.more_grads.is_empty();
    if pass.zero_grads != ZeroGrads::Never && read_only {
        return refusal("the pass zeroes gradients, and these, or some of them, were given as read-only");
    }
    if tensor.average.is_some() && pass.average.is_none() {
        return refusal("it has an average, and the pass does not say how to keep it");
    }
    Ok(())
}

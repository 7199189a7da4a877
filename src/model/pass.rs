//! A step of an [`Optimizer`] with everything else that a pass asks for.

use alloc::vec::Vec;

use wide::bytemuck;

use crate::{
    error::{Error, Name},
    model::{
        ids::ParamId,
        optimizer::{Entry, Groups, Optimizer, recycle},
    },
    pass::{
        pass::Pass,
        run::{PassReport, check_tensor},
        tensor::PassTensor,
    },
    rule::rule::Rule,
    sweep::kernels::Tagged,
    tensor::tensor::Layout,
    threads::{join::Join, workers::Workers},
};

/// A registered parameter in one pass.
#[derive(Debug)]
pub struct PassParam<'a> {
    /// Which.
    pub id: ParamId,
    /// Its values and its gradient, without state, which the optimizer keeps.
    pub tensor: PassTensor<'a>,
}

impl<R: Rule> Optimizer<R> {
    /// [`step`](Self::step) with everything else that `pass` asks for.
    ///
    /// Parameters that are not in the list are skipped, as are those that the pass leaves out; their counters stay. What
    /// the pass found is told by each parameter's `tensor`. The list is sorted in place by registration. After the first
    /// pass over a model nothing is allocated.
    ///
    /// ```
    /// use gradstep::{AnyRule, NonFinite, Optimizer, Pass, PassParam, PassTensor, Workers};
    ///
    /// let mut optimizer = Optimizer::new(AnyRule::named("adamw")?)?;
    /// let id = optimizer.register("weight", 3)?;
    /// let pass = Pass::new().check(NonFinite::Refuse).clip_global_norm(1.0)?;
    /// let (mut params, grads) = ([1.0_f32, 2.0, 3.0], [f32::INFINITY, 0.0, 0.0]);
    /// let tensor = PassTensor::new(&mut params[..], &grads[..], [])?;
    /// let report = optimizer.step_pass(&Workers::rayon(), &pass, &mut [PassParam { id, tensor }])?;
    /// assert!(report.refused);
    /// assert_eq!(optimizer.saved("weight")?.step, 0);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`step`](Self::step) and [`Workers::step_pass`]; nothing has changed then.
    pub fn step_pass<J: Join>(
        &mut self,
        workers: &Workers<J>,
        pass: &Pass,
        params: &mut [PassParam<'_>],
    ) -> Result<PassReport, Error> {
        workers.check_host()?;
        params.sort_unstable_by_key(|param| param.id);
        self.check_pass(pass, params)?;
        self.find_shared();
        let mut tensors = recycle(core::mem::take(&mut self.pass_tensors));
        collect(&self.entries, bytemuck::cast_slice_mut(&mut self.arena), params, &mut tensors);
        // The groups one after the other, as `step` has them.
        tensors.sort_unstable_by_key(Tagged::tag);
        tensors.iter_mut().for_each(|tensor| tensor.begin(pass));
        let groups = Groups { rules: &self.groups, shared: &self.shared };
        let report = workers.run_pass(pass, &groups, &mut tensors);

        self.outcomes.clear();
        self.outcomes.extend(tensors.iter().map(PassTensor::outcome));
        self.pass_tensors = recycle(tensors);
        for outcome in &self.outcomes {
            let param = &mut params[outcome.place];
            let entry = &mut self.entries[param.id.place];
            entry.step = if outcome.skipped { entry.step } else { entry.next_step() };
            param.tensor.take_over(outcome);
        }
        self.share_numbers(params.iter().filter(|param| !param.tensor.skipped()).map(|param| param.id));
        Ok(PassReport { skipped: self.entries.len() - report.stepped, ..report })
    }

    /// `params` are sorted.
    fn check_pass(&self, pass: &Pass, params: &[PassParam<'_>]) -> Result<(), Error> {
        for (place, param) in params.iter().enumerate() {
            let entry = self.entry(param.id)?;
            let name = Name::of(&entry.name);
            if place > 0 && params[place - 1].id == param.id {
                return Err(Error::PassedTwice { name });
            }
            let found = param.tensor.len();
            if found != entry.len {
                return Err(Error::TensorLength {
                    tensor: name,
                    slice: "params",
                    expected: entry.len,
                    found,
                });
            }
            if param.tensor.has_state() {
                let reason = "it was given state slices, and the optimizer keeps the state: give it none";
                return Err(Error::Pass { tensor: name, reason });
            }
            check_tensor(pass, &Layout::KEPT_ELSEWHERE, &param.tensor, || name)?;
            if param.tensor.counts_itself() {
                let reason = "it has a counter, and the optimizer counts its steps itself";
                return Err(Error::Pass { tensor: name, reason });
            }
        }
        pass.check_effect(params.iter().map(|param| &param.tensor))
    }
}

/// Joins parameters with their state. `params` are sorted, as the arena is.
fn collect<'a>(
    entries: &[Entry],
    mut arena: &'a mut [f32],
    params: &'a mut [PassParam<'_>],
    tensors: &mut Vec<PassTensor<'a>>,
) {
    let mut at = 0;
    for (place, PassParam { id, tensor }) in params.iter_mut().enumerate() {
        let entry = &entries[id.place];
        let block = entry.take_block(&mut arena, &mut at);
        let tag = entry.tag(place);
        // A rule with more slices than a tensor holds was refused when its group was made.
        tensors.extend(tensor.with_state(entry.slices_mut(block), tag));
    }
}

//! The state of a whole model: names, groups, counters, and one arena for all state slices.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};

use wide::bytemuck;

use crate::{
    error::Error,
    formats::floats::{FloatsMut, Grads},
    model::{
        arena::{Entry, LONGEST, Line},
        ids::{GroupId, Owner, ParamId},
        saved::{Saved, SavedParam, check_saved},
    },
    name::Name,
    pass::{check::check_tensor, pass::Pass, run::run_pass},
    rule::{
        options::{Options, unknown},
        rule::Rule,
        slots::{Initial, has_only_full},
        state_kind::StateKind,
        values::Value,
    },
    rules::AnyRule,
    sweep::{
        check::check_rule,
        erased::ErasedRule,
        groups::{Program, SharedNumbers},
    },
    tensor::{
        report::PassReport,
        state::Layout,
        tag::Tag,
        tensor::{Outcome, Tensor},
    },
    threads::{join::Join, workers::Workers},
};

/// An optimizer for a whole model: it owns the state, counts the steps, and steps all parameters in one call.
///
/// Parameters are registered by name and length; each belongs to a group, which has a rule with its own
/// hyper-parameters. `R` is the type of the rules: [`AnyRule`] where they are chosen at run time.
///
/// A parameter that a step leaves out is skipped: its state and its counter stay. So one that joins late counts from
/// its own first step, as in PyTorch.
///
/// ```
/// use gradstep::{AdamW, AnyRule, Optimizer, Param, Workers};
///
/// let rule = AdamW::torch();
/// let mut optimizer = Optimizer::new(AnyRule::AdamW(rule))?;
/// let no_decay = optimizer.add_group(AnyRule::AdamW(rule.weight_decay(0.0)?))?;
/// let weight_id = optimizer.register("layer.weight", 100)?;
/// optimizer.register_in(no_decay, "layer.bias", 10)?;
///
/// let mut weight = [0.5; 100];
/// let params = &mut [Param::new(weight_id, &mut weight, &[0.1; 100])]; // the bias has no gradient in this step
/// let report = optimizer.step(&Workers::rayon(), params)?;
/// assert_eq!((report.stepped, report.skipped, report.elements), (1, 1, 100));
/// assert_eq!(optimizer.saved("layer.weight").unwrap().step, 1);
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer<R = AnyRule> {
    owner: Owner,
    pub(super) groups: Vec<R>,
    /// What the parameters of each group share, as it is found before a step.
    pub(super) shared: Vec<SharedNumbers>,
    pub(super) entries: Vec<Entry>,
    by_name: BTreeMap<String, ParamId>,
    /// The state of all parameters, in the order of their registration.
    pub(super) arena: Vec<Line>,
    /// Empty between steps; kept for its allocation, as the next one is.
    tensors: Vec<Tensor<'static>>,
    pub(super) outcomes: Vec<Outcome>,
}

/// What a step without a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many parameters were stepped.
    pub stepped: usize,
    /// How many of the registered ones were not, because they were not in the list.
    pub skipped: usize,
    /// How many elements the stepped ones have together.
    pub elements: usize,
}

/// A registered parameter in one step.
#[derive(Debug)]
pub struct Param<'a> {
    /// Which.
    pub id: ParamId,
    /// Its values and its gradient, as many as it was registered with, and what a pass takes beside them. It has no state: that
    /// is the optimizer's.
    pub tensor: Tensor<'a>,
}

impl<'a> Param<'a> {
    /// A parameter with its gradient. What a pass takes beside them is put into [`tensor`](Self::tensor).
    pub fn new(id: ParamId, params: impl Into<FloatsMut<'a>>, grads: impl Into<Grads<'a>>) -> Self {
        Self { id, tensor: Tensor::without_state(params, grads) }
    }
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer whose first group, to which [`register`](Self::register) adds, has this rule.
    ///
    /// # Errors
    /// [`Error::KernelState`] for a faulty rule of the caller's own.
    pub fn new(rule: R) -> Result<Self, Error> {
        check_rule(&rule, 1)?;
        Ok(Self {
            owner: Owner::new(),
            groups: Vec::from([rule]),
            shared: Vec::from([SharedNumbers::default()]),
            entries: Vec::new(),
            by_name: BTreeMap::new(),
            arena: Vec::new(),
            tensors: Vec::new(),
            outcomes: Vec::new(),
        })
    }

    /// The group that [`new`](Self::new) made.
    pub const FIRST_GROUP: GroupId = GroupId::FIRST;

    /// Adds a group with a rule of its own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn add_group(&mut self, rule: R) -> Result<GroupId, Error> {
        check_rule(&rule, 1)?;
        self.groups.push(rule);
        self.shared.push(SharedNumbers::default());
        Ok(GroupId { owner: self.owner, place: self.groups.len() - 1 })
    }

    /// Registers a parameter of `len` elements in the first group.
    ///
    /// # Errors
    /// [`Error::DuplicateName`], [`Error::NoMemory`]; nothing has changed then.
    pub fn register(&mut self, name: &str, len: usize) -> Result<ParamId, Error> {
        self.register_in(Self::FIRST_GROUP, name, len)
    }

    /// Registers a parameter of `len` elements in a group, at any time, and lays out its state, which is made right before the
    /// parameter's first step: from its values then, and by the rule that its group has then.
    ///
    /// # Errors
    /// [`Error::DuplicateName`], [`Error::UnknownGroup`], [`Error::NoMemory`]; nothing has changed then.
    pub fn register_in(&mut self, group: GroupId, name: &str, len: usize) -> Result<ParamId, Error> {
        let rule = *self.rule(group)?;
        if self.by_name.contains_key(name) {
            return Err(Error::DuplicateName { name: Name::of(name) });
        }
        let no_memory = Error::NoMemory { name: Name::of(name), len };
        if len > LONGEST {
            return Err(no_memory);
        }
        let entry = Entry::new(name, group, len, self.arena.len(), &rule);
        self.arena.try_reserve(entry.lines.len()).map_err(|_| no_memory)?;
        self.arena.resize(entry.lines.end, Line::ZERO);
        let id = ParamId { owner: self.owner, place: self.entries.len() };
        self.entries.push(entry);
        self.by_name.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The number of a parameter by its name.
    ///
    /// # Errors
    /// [`Error::UnknownParam`].
    pub fn id(&self, name: &str) -> Result<ParamId, Error> {
        self.by_name.get(name).copied().ok_or(Error::UnknownParam { name: Name::of(name) })
    }

    /// A group's rule.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`].
    pub fn rule(&self, group: GroupId) -> Result<&R, Error> {
        let known = self.owner.gave_out(group.owner);
        self.groups.get(group.place).filter(|_| known).ok_or(Error::UnknownGroup { group: group.place })
    }

    /// Gives a group a rule with other hyper-parameters. State and counters stay.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::OtherState`] for a rule to which the state of the group's parameters would mean
    /// something else: another [kind](Rule::kind) of rule, another [convention](Rule::convention), other slots; nothing has
    /// changed then. [`convert`](crate::convert) rewrites state for another convention.
    pub fn set_rule(&mut self, group: GroupId, rule: R) -> Result<(), Error> {
        check_rule(&rule, 1)?;
        let (present, needed) = (StateKind::of(self.rule(group)?), StateKind::of(&rule));
        if present != needed {
            return Err(Error::OtherState { present, needed });
        }
        self.groups[group.place] = rule;
        Ok(())
    }

    /// Takes one step of every parameter in the list, all in one fork and join, and counts it. Parameters that are not in the
    /// list are skipped.
    ///
    /// The list may be in any order, and is sorted in place by registration. After the first step of a model nothing is
    /// allocated.
    ///
    /// # Errors
    /// [`Error::UnknownParam`], [`Error::PassedTwice`], [`Error::TensorLength`], or [`Error::NeedsPass`]; nothing has changed then.
    pub fn step<J: Join>(&mut self, workers: &Workers<J>, params: &mut [Param<'_>]) -> Result<Report, Error> {
        workers.check_host()?;
        params.sort_unstable_by_key(|param| param.id);
        self.check(&Pass::new(), params)?;
        if let Some(param) = params.iter().find(|param| !param.tensor.is_plain()) {
            return Err(Error::NeedsPass { tensor: Some(Name::of(&self.entry(param.id)?.name)) });
        }
        let report = self.step_checked(params, |groups, tensors| workers.team().step_plain(groups, tensors));
        let PassReport { stepped, skipped, elements, .. } = report;
        Ok(Report { stepped, skipped, elements })
    }

    /// [`step`](Self::step) with everything else that `pass` asks for.
    ///
    /// Parameters that are not in the list are skipped, as are those that the pass leaves out; their counters stay. What
    /// the pass found is told by each parameter's `tensor`. The list is sorted in place by registration. After the first
    /// pass over a model nothing is allocated.
    ///
    /// ```
    /// use gradstep::{AnyRule, NonFinite, Optimizer, Param, Pass, Workers};
    ///
    /// let mut optimizer = Optimizer::new(AnyRule::named("adamw")?)?;
    /// let id = optimizer.register("weight", 3)?;
    /// let pass = Pass::new().check(NonFinite::Refuse).clip_global_norm(1.0)?;
    /// let (mut params, grads) = ([1.0_f32, 2.0, 3.0], [f32::INFINITY, 0.0, 0.0]);
    /// let params = &mut [Param::new(id, &mut params, &grads)];
    /// let report = optimizer.step_pass(&Workers::rayon(), &pass, params)?;
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
        params: &mut [Param<'_>],
    ) -> Result<PassReport, Error> {
        workers.check_host()?;
        params.sort_unstable_by_key(|param| param.id);
        self.check(pass, params)?;
        pass.check_effect(params.iter().map(|param| &param.tensor))?;
        Ok(self.step_checked(params, |groups, tensors| {
            tensors.iter_mut().for_each(|tensor| pass.begin(tensor));
            run_pass(&workers.team(), pass, groups, tensors)
        }))
    }

    /// Joins parameters with their state, has them stepped, and keeps account of it.
    fn step_checked(
        &mut self,
        params: &mut [Param<'_>],
        step: impl FnOnce(&dyn Program, &mut [Tensor<'_>]) -> PassReport,
    ) -> PassReport {
        self.find_shared();
        let mut tensors = recycle(core::mem::take(&mut self.tensors));
        collect(&self.entries, bytemuck::cast_slice_mut(&mut self.arena), params, &mut tensors);
        // The groups one after the other, so that each needs one kernel.
        tensors.sort_unstable_by_key(Tensor::tag);
        let report = step(&Groups { rules: &self.groups, shared: &self.shared }, &mut tensors);

        self.outcomes.clear();
        self.outcomes.extend(tensors.iter().map(Tensor::outcome));
        self.tensors = recycle(tensors);
        for outcome in &self.outcomes {
            let param = &mut params[outcome.place];
            let entry = &mut self.entries[param.id.place];
            entry.step = if outcome.skipped { entry.step } else { entry.next_step() };
            param.tensor.take_over(outcome);
        }
        self.share_numbers(params.iter().filter(|param| !param.tensor.skipped()).map(|param| param.id));
        PassReport { skipped: self.entries.len() - report.stepped, ..report }
    }

    fn entry(&self, id: ParamId) -> Result<&Entry, Error> {
        if !self.owner.gave_out(id.owner) {
            return Err(Error::OtherOptimizer { param: id.place });
        }
        let unknown = Error::UnknownParam { name: Name::number(id.place) };
        self.entries.get(id.place).ok_or(unknown)
    }

    /// `params` are sorted.
    fn check(&self, pass: &Pass, params: &[Param<'_>]) -> Result<(), Error> {
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
        Ok(())
    }

    /// The state of every parameter, in the order of registration: what a checkpoint has to hold, beside the rules of the
    /// groups. Before a parameter's first step its state is not made yet, and what stands here is of no account.
    pub fn save(&self) -> impl Iterator<Item = SavedParam<'_, impl Iterator<Item = (&'static str, &[f32])>>> {
        self.entries.iter().map(|entry| {
            let block = bytemuck::cast_slice(&self.arena[entry.lines.clone()]);
            let state = entry.slots.iter().map(|slot| slot.name).zip(entry.slices(block));
            let made_by = StateKind::of(&self.groups[entry.group]);
            SavedParam { name: &entry.name, made_by, step: entry.step, state }
        })
    }

    /// The state of one parameter.
    ///
    /// # Errors
    /// [`Error::UnknownParam`].
    pub fn saved(
        &self,
        name: &str,
    ) -> Result<SavedParam<'_, impl Iterator<Item = (&'static str, &[f32])>>, Error> {
        let unknown = Error::UnknownParam { name: Name::of(name) };
        self.save().nth(self.id(name)?.place).ok_or(unknown)
    }

    /// Puts saved state in place, so that the next step is the one that an unbroken run would have taken, bit for bit.
    ///
    /// State of step 0 has not been made yet: the first step makes it, as that of a parameter which was just registered. Only
    /// what the caller fills (the Hessian of Sophia) is taken over then.
    ///
    /// # Errors
    /// [`Error::UnknownParam`]; [`Error::OtherSaved`] where another rule or convention made the state;
    /// [`Error::SavedState`] where slices are missing or superfluous; [`Error::TensorLength`]. Nothing has changed then.
    ///
    /// ```
    /// use gradstep::{AnyRule, Error, Momentum, Optimizer, Saved};
    ///
    /// let mut optimizer = Optimizer::new(Momentum::torch())?;
    /// optimizer.register("weight", 2)?;
    /// let state: &[(&str, &[f32])] = &[("momentum_buffer", &[0.5, -0.5])];
    /// optimizer.load("weight", &Saved { made_by: "momentum/sum", step: 7, state })?;
    ///
    /// // Keras' velocity has the learning rate and another sign in it.
    /// let keras = Saved { made_by: "momentum/lr-inside-negative", step: 7, state };
    /// assert!(matches!(optimizer.load("weight", &keras), Err(Error::OtherSaved { .. })));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    pub fn load(&mut self, name: &str, saved: &Saved<'_>) -> Result<(), Error> {
        let id = self.id(name)?;
        let entry = &mut self.entries[id.place];
        check_saved(entry, &self.groups[entry.group], saved)?;
        let block = bytemuck::cast_slice_mut(&mut self.arena[entry.lines.clone()]);
        for (slice, slot) in entry.slices_mut(block).zip(entry.slots) {
            let given = saved.state.iter().filter(|(name, _)| *name == slot.name);
            for (_, values) in given.filter(|_| saved.step > 0 || slot.initial == Initial::Caller) {
                slice.copy_from_slice(values);
            }
        }
        entry.step = saved.step;
        Ok(())
    }
}

impl<R: Rule + Options> Optimizer<R> {
    /// A group's learning rate.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::UnknownOption`] for a rule without `lr`.
    pub fn lr(&self, group: GroupId) -> Result<f64, Error> {
        let rule = self.rule(group)?;
        match rule.get("lr") {
            Some(Value::Number(lr)) => Ok(lr),
            _ => Err(unknown(rule.name(), rule.options(), "lr")),
        }
    }

    /// Sets a group's learning rate, from the next step on.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::UnknownOption`] for a rule without `lr`, [`Error::OutOfRange`], [`Error::Conflict`];
    /// nothing has changed then.
    pub fn set_lr(&mut self, group: GroupId, lr: f64) -> Result<(), Error> {
        let mut rule = *self.rule(group)?;
        rule.set("lr", lr)?;
        check_rule(&rule, 1)?;
        self.groups[group.place] = rule;
        Ok(())
    }
}

/// The rules of the groups, by the group in a tag.
struct Groups<'a, R> {
    rules: &'a [R],
    shared: &'a [SharedNumbers],
}

impl<R: Rule> Program for Groups<'_, R> {
    fn measures(&self) -> bool {
        self.rules.iter().any(|rule| !has_only_full(rule.slots()))
    }

    fn rule(&self, tag: Tag) -> &dyn ErasedRule {
        self.rules[tag.group].erased()
    }

    fn shared(&self, tag: Tag) -> SharedNumbers {
        self.shared[tag.group]
    }
}

/// Joins parameters with their state. `params` are sorted, as the arena is.
fn collect<'a>(
    entries: &[Entry],
    mut arena: &'a mut [f32],
    params: &'a mut [Param<'_>],
    tensors: &mut Vec<Tensor<'a>>,
) {
    let mut at = 0;
    for (place, Param { id, tensor }) in params.iter_mut().enumerate() {
        let entry = &entries[id.place];
        let block = entry.take_block(&mut arena, &mut at);
        let tag = entry.tag(place);
        // A rule with more slices than a tensor holds was refused when its group was made.
        tensors.extend(tensor.with_state(entry.slices_mut(block), tag));
    }
}

/// An empty vector in the allocation of another: the standard library collects in place where the sizes agree.
fn recycle<T, U>(mut items: Vec<T>) -> Vec<U> {
    items.clear();
    items.into_iter().filter_map(|_| None).collect()
}

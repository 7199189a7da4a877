//! The state of a whole model: names, groups, counters, and one arena for all state slices.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};
use core::ops::Range;

use wide::{bytemuck, f32x16};

use crate::{
    error::{Error, Name},
    model::ids::{GroupId, Owner, ParamId},
    pass::tensor::{Outcome, PassTensor},
    rule::{
        options::{Options, Value, unknown},
        rule::{Rule, StateKind},
        slots::{Initial, Slot, has_only_full},
    },
    rules::AnyRule,
    sweep::kernels::{Program, Shared, Tagged, check_rule},
    tensor::tensor::{Tag, Tensor},
    threads::{join::Join, workers::Workers},
};

/// A cache line: what every state slice starts at a multiple of.
type Line = f32x16;
const LINE: usize = size_of::<Line>() / size_of::<f32>();

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
/// let bias_id = optimizer.register_in(no_decay, "layer.bias", 10)?;
///
/// let (mut weight, mut bias) = ([0.5; 100], [0.0; 10]);
/// let report = optimizer.step(
///     &Workers::rayon(),
///     &mut [
///         Param { id: weight_id, params: &mut weight, grads: Some(&[0.1; 100]) },
///         Param { id: bias_id, params: &mut bias, grads: None },
///     ],
/// )?;
/// assert_eq!((report.stepped, report.skipped, report.elements), (1, 1, 100));
/// assert_eq!(optimizer.saved("layer.weight").unwrap().step, 1);
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer<R = AnyRule> {
    owner: Owner,
    pub(super) groups: Vec<R>,
    /// What the parameters of each group share, as it is found before a step.
    pub(super) shared: Vec<Shared>,
    pub(super) entries: Vec<Entry>,
    by_name: BTreeMap<String, ParamId>,
    /// The state of all parameters, in the order of their registration.
    pub(super) arena: Vec<Line>,
    /// Empty between steps; kept for their allocations.
    tensors: Vec<Tensor<'static>>,
    pub(super) pass_tensors: Vec<PassTensor<'static>>,
    pub(super) outcomes: Vec<Outcome>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) group: usize,
    pub(super) len: usize,
    /// Where its state is in the arena, in lines: one slice after the other, each from a line of its own.
    pub(super) lines: Range<usize>,
    pub(super) slots: &'static [Slot],
    pub(super) step: u64,
}

impl Entry {
    fn new<R: Rule>(name: &str, group: GroupId, len: usize, start: usize, rule: &R) -> Self {
        let slots = rule.slots();
        let end = start + slots.iter().map(|slot| lines(slot.len(len))).sum::<usize>();
        Self { name: name.to_owned(), group: group.place, len, lines: start..end, slots, step: 0 }
    }

    /// The number of the step that it takes next. A loaded counter may be at its end, and stays there.
    pub(super) fn next_step(&self) -> u64 {
        self.step.saturating_add(1)
    }

    /// Where its state is in the arena, in elements.
    pub(super) fn elements(&self) -> Range<usize> {
        self.lines.start * LINE..self.lines.end * LINE
    }

    /// For the tensor at this place in the list of a step.
    pub(super) fn tag(&self, place: usize) -> Tag {
        Tag { group: self.group, step: self.next_step(), place, fresh: self.step == 0 }
    }

    /// Its part of the arena, off what is left of it from element `at` on.
    pub(super) fn take_block<'a>(&self, arena: &mut &'a mut [f32], at: &mut usize) -> &'a mut [f32] {
        let (_, rest) = core::mem::take(arena).split_at_mut(self.lines.start * LINE - *at);
        let (block, rest) = rest.split_at_mut(self.lines.len() * LINE);
        (*arena, *at) = (rest, self.lines.end * LINE);
        block
    }

    /// Its state slices within `block`, which is its part of the arena.
    pub(super) fn slices<'a>(&self, mut block: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let lens = self.slots.iter().map({
            let len = self.len;
            move |slot| slot.len(len)
        });
        lens.map(move |len| {
            let (slice, rest) = block.split_at(lines(len) * LINE);
            block = rest;
            &slice[..len]
        })
    }

    pub(super) fn slices_mut<'a>(&self, mut block: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let lens = self.slots.iter().map({
            let len = self.len;
            move |slot| slot.len(len)
        });
        lens.map(move |len| {
            let (slice, rest) = core::mem::take(&mut block).split_at_mut(lines(len) * LINE);
            block = rest;
            &mut slice[..len]
        })
    }
}

/// How many lines a state slice takes; one even if it is empty, so that it can be told from no slice.
fn lines(len: usize) -> usize {
    len.div_ceil(LINE).max(1)
}

/// No slice has more elements: it would have more bytes than an allocation can.
const LONGEST: usize = isize::MAX as usize / size_of::<f32>();

/// A registered parameter in one step.
#[derive(Debug)]
pub struct Param<'a> {
    /// Which.
    pub id: ParamId,
    /// Its values, as many as it was registered with.
    pub params: &'a mut [f32],
    /// Its gradient, of the same length; `None` skips it in this step.
    pub grads: Option<&'a [f32]>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many parameters were stepped.
    pub stepped: usize,
    /// How many of the registered ones were not, for want of a gradient.
    pub skipped: usize,
    /// How many elements the stepped ones have together.
    pub elements: usize,
}

/// The state of one parameter, as a checkpoint has it.
#[derive(Clone, Debug)]
pub struct SavedParam<'a, I> {
    /// The parameter's name.
    pub name: &'a str,
    /// What made the state: written out it says what [`Saved::made_by`] has to say.
    pub made_by: StateKind,
    /// The number of steps that it has taken.
    pub step: u64,
    /// Its state slices under their names.
    pub state: I,
}

/// The state of one parameter, to be [loaded](Optimizer::load).
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// Which rule made it, under which convention: [`SavedParam::made_by`], written out. For state from elsewhere, what its
    /// numbers mean: `"momentum/lr-inside-negative"`.
    pub made_by: &'a str,
    /// The number of steps that the parameter has taken.
    pub step: u64,
    /// Its state slices under their names.
    pub state: &'a [(&'a str, &'a [f32])],
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
            shared: Vec::from([Shared::default()]),
            entries: Vec::new(),
            by_name: BTreeMap::new(),
            arena: Vec::new(),
            tensors: Vec::new(),
            pass_tensors: Vec::new(),
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
        self.shared.push(Shared::default());
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

    /// Takes one step of every parameter that is given with a gradient, all in one fork and join, and counts it.
    ///
    /// The list may be in any order, and is sorted in place by registration. After the first step of a model nothing is
    /// allocated.
    ///
    /// # Errors
    /// [`Error::UnknownParam`], [`Error::PassedTwice`], or [`Error::TensorLength`]; nothing has changed then.
    pub fn step<J: Join>(&mut self, workers: &Workers<J>, params: &mut [Param<'_>]) -> Result<Report, Error> {
        workers.check_host()?;
        params.sort_unstable_by_key(|param| param.id);
        self.check(params)?;
        self.find_shared();
        let mut tensors = recycle(core::mem::take(&mut self.tensors));
        collect(&self.entries, bytemuck::cast_slice_mut(&mut self.arena), params, &mut tensors);
        // The groups one after the other, so that each needs one kernel.
        tensors.sort_unstable_by_key(Tagged::tag);
        let groups = Groups { rules: &self.groups, shared: &self.shared };
        for tensor in tensors.iter_mut().filter(|tensor| tensor.tag().fresh) {
            tensor.start(groups.rule(tensor.tag()));
        }
        workers.run(&groups, &mut tensors);

        let elements = tensors.iter().map(Tensor::len).sum();
        self.tensors = recycle(tensors);
        let mut stepped = 0;
        for param in params.iter().filter(|param| param.grads.is_some()) {
            let entry = &mut self.entries[param.id.place];
            entry.step = entry.next_step();
            stepped += 1;
        }
        self.share_numbers(params.iter().filter(|param| param.grads.is_some()).map(|param| param.id));
        Ok(Report { stepped, skipped: self.entries.len() - stepped, elements })
    }

    pub(super) fn entry(&self, id: ParamId) -> Result<&Entry, Error> {
        if !self.owner.gave_out(id.owner) {
            return Err(Error::OtherOptimizer { param: id.place });
        }
        let unknown = Error::UnknownParam { name: Name::number(id.place) };
        self.entries.get(id.place).ok_or(unknown)
    }

    /// `params` are sorted.
    fn check(&self, params: &[Param<'_>]) -> Result<(), Error> {
        for (place, param) in params.iter().enumerate() {
            let entry = self.entry(param.id)?;
            let name = Name::of(&entry.name);
            if place > 0 && params[place - 1].id == param.id {
                return Err(Error::PassedTwice { name });
            }
            let grads = param.grads.map_or(entry.len, <[f32]>::len);
            for (slice, found) in [("params", param.params.len()), ("grads", grads)] {
                if found != entry.len {
                    return Err(Error::TensorLength { tensor: name, slice, expected: entry.len, found });
                }
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
pub(super) struct Groups<'a, R> {
    pub(super) rules: &'a [R],
    pub(super) shared: &'a [Shared],
}

impl<R: Rule> Program for Groups<'_, R> {
    type Rule = R;

    fn measures(&self) -> bool {
        self.rules.iter().any(|rule| !has_only_full(rule.slots()))
    }

    fn rule(&self, tag: Tag) -> &R {
        &self.rules[tag.group]
    }

    fn shared(&self, tag: Tag) -> Shared {
        self.shared[tag.group]
    }
}

/// Joins parameters that have a gradient with their state. `params` are sorted, as the arena is, so that one walk
/// along it finds every block.
fn collect<'a>(
    entries: &[Entry],
    mut arena: &'a mut [f32],
    params: &'a mut [Param<'_>],
    tensors: &mut Vec<Tensor<'a>>,
) {
    let mut at = 0;
    for (place, Param { id, params, grads }) in params.iter_mut().enumerate() {
        let Some(grads) = grads else { continue };
        let entry = &entries[id.place];
        let block = entry.take_block(&mut arena, &mut at);
        let tag = entry.tag(place);
        let tensor = Tensor::new(params, grads, entry.slices_mut(block));
        // A rule with more slices than a tensor holds was refused when its group was made.
        tensors.extend(tensor.map(|tensor| tensor.tagged(tag)));
    }
}

/// An empty vector in the allocation of another: the standard library collects in place where the sizes agree.
pub(super) fn recycle<T, U>(mut items: Vec<T>) -> Vec<U> {
    items.clear();
    items.into_iter().filter_map(|_| None).collect()
}

fn check_saved<R: Rule>(entry: &Entry, rule: &R, saved: &Saved<'_>) -> Result<(), Error> {
    let (name, slots, needed) = (Name::of(&entry.name), entry.slots, StateKind::of(rule));
    if !needed.is_written(saved.made_by) {
        return Err(Error::OtherSaved { found: Name::of(saved.made_by), needed });
    }
    let state = saved.state;
    let refusal = |slice: &str| Error::SavedState { param: name, slice: Name::of(slice), expected: slots };
    for (place, (slice, values)) in state.iter().enumerate() {
        let twice = state[..place].iter().any(|(before, _)| before == slice);
        let slot = slots.iter().find(|slot| slot.name == *slice).filter(|_| !twice);
        let slot = slot.ok_or_else(|| refusal(slice))?;
        let (expected, found) = (slot.len(entry.len), values.len());
        if found != expected {
            return Err(Error::TensorLength { tensor: name, slice: slot.name, expected, found });
        }
    }
    let missing = slots.iter().find(|slot| !state.iter().any(|(slice, _)| *slice == slot.name));
    missing.map_or(Ok(()), |slot| Err(refusal(slot.name)))
}

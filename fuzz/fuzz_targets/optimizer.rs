//! Bytes become operations on an optimizer, valid and faulty ones, and on a naive twin that keeps every state slice in a vector
//! of its own, makes it right before a first step, and steps each tensor alone, or each group with one set of numbers, on the
//! scalar backend. After each operation both must hold the same bits, and what the optimizer refuses must have changed nothing.

#![no_main]

use std::{cmp::Ordering, collections::BTreeMap, fmt::Debug};

use arbitrary::{Result, Unstructured};
use gradstep::{
    AnyRule, Average, Backend, GradSums, GroupId, Initial, Join, KernelVisitor, Measures, NonFinite,
    Optimizer, Param, ParamId, Pass, PassReport, Prepare, Report, Rule, Saved, Scope, Slot, StateKind, Sum,
    Tensor, Value, Workers, full_slots, init_state,
};
use gradstep_fuzz::{
    any_backend, any_rule, any_state, change_options, count, number, steps_taken, values, with_tail,
};
use libfuzzer_sys::fuzz_target;
use testkit::{bits, is_elementwise, slices};

const MOST_GROUPS: usize = 4;
const MOST_PARAMS: usize = 48;

fn name(number: usize) -> String {
    format!("p{number}")
}

/// The optimizer, with what its caller keeps.
struct Pair {
    optimizer: Optimizer,
    groups: Vec<GroupId>,
    ids: Vec<ParamId>,
    params: Vec<Vec<f32>>,
    averages: Vec<Averaged>,
    /// The steps and the state that the parameters had at some time.
    checkpoint: Vec<(u64, Vec<Vec<f32>>)>,
    twin: Twin,
    strange: Strange,
}

/// Numbers that the optimizer has to refuse: those of another one, and of those in whose place it has come.
struct Strange {
    /// It lives as long as its numbers do.
    _optimizer: Optimizer,
    groups: Vec<GroupId>,
    ids: Vec<ParamId>,
}

impl Strange {
    fn new() -> Self {
        let rule = AnyRule::named("sgd").expect("a registered name");
        let mut optimizer = Optimizer::new(rule).expect("a rule of the registry");
        let groups = (0..2).map(|_| optimizer.add_group(rule).expect("a rule of the registry")).collect();
        let ids = (0..3).map(|i| optimizer.register(&name(i), i).expect("a new name")).collect();
        Self { _optimizer: optimizer, groups, ids }
    }
}

/// An average, and how many steps are in it.
#[derive(Clone, Debug, Default)]
struct Averaged {
    values: Vec<f32>,
    steps: u64,
}

#[derive(Default)]
struct Twin {
    groups: Vec<AnyRule>,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    group: usize,
    step: u64,
    /// There are no parameters for a length that no memory has.
    len: usize,
    params: Vec<f32>,
    average: Averaged,
    state: Vec<Vec<f32>>,
}

/// A parameter in a step.
#[derive(Clone)]
struct Item {
    number: usize,
    id: ParamId,
    params: Vec<f32>,
    grads: Option<Vec<f32>>,
    average: Option<Averaged>,
    extra: Option<Extra>,
}

/// What a parameter in a pass must not have.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    State,
    Counter,
    /// Where the pass zeroes gradients.
    ReadOnly,
}

/// What has been made wrong, as the error's name.
type Fault = Option<&'static str>;

/// A pool of the caller's own that works on the calling thread, and says of itself what it likes.
struct Pool {
    threads: usize,
    /// How often it does the work; the optimizer does what is left.
    calls: u8,
}

impl Join for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        (0..self.calls).for_each(|_| work());
    }
}

fn workers(u: &mut Unstructured<'_>) -> Result<Workers<Pool>> {
    let threads = *u.choose(&[1, 1, 0, 2, 3, usize::MAX])?;
    let pool = Pool { threads, calls: u.int_in_range(0..=2)? };
    Ok(Workers::new(pool).backend(any_backend(u)?).serial_below(0))
}

fn scalar() -> Workers {
    Workers::serial().backend(Backend::SCALAR)
}

/// Whether something was refused, and for that reason.
fn assert_refused<T: Debug>(found: std::result::Result<T, gradstep::Error>, fault: &str) {
    let error = found.expect_err(fault);
    assert!(format!("{error:?}").starts_with(fault), "{error:?} and not {fault}");
    assert!(!error.to_string().is_empty());
}

fn shares(rule: &AnyRule) -> bool {
    rule.measures().is_some_and(|measures| measures.scope() == Scope::Together)
}

/// A rule that goes on from the numbers that a group shares, at the group's own step.
#[derive(Clone, Copy)]
struct Within {
    rule: AnyRule,
    step: u64,
    numbers: [f64; 4],
}

impl Within {
    fn numbers(&self) -> &[f64] {
        &self.numbers[..self.slots().len() - full_slots(self.slots())]
    }
}

impl Rule for Within {
    fn name(&self) -> &'static str {
        self.rule.name()
    }

    fn slots(&self) -> &'static [Slot] {
        self.rule.slots()
    }

    fn initial(&self, slot: usize) -> f32 {
        self.rule.initial(slot)
    }

    fn prepare(&self) -> Prepare {
        self.rule.prepare()
    }

    fn with_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
        self.rule.with_kernel(step, scalars, visitor)
    }

    fn measures(&self) -> Option<&dyn Measures> {
        self.rule.measures().map(|_| self as &dyn Measures)
    }

    fn with_measuring_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> Option<V::Output> {
        self.rule.with_measuring_kernel(self.step, self.numbers(), visitor)
    }
}

impl Measures for Within {
    fn sums(&self) -> &'static [Sum] {
        self.rule.measures().map_or(&[], |measures| measures.sums())
    }

    fn scope(&self) -> Scope {
        self.rule.measures().map_or(Scope::Tensor, |measures| measures.scope())
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        scalars.copy_from_slice(self.numbers());
        self.rule.measures().expect("it has numbers").settle(self.step, sums, scalars);
    }
}

impl Entry {
    fn new(name: String, group: usize, rule: &AnyRule, len: usize, params: Vec<f32>) -> Self {
        let state = rule.slots().iter().map(|slot| vec![0.0; slot.len(len)]).collect();
        let average = Averaged { values: params.clone(), steps: 0 };
        Self { name, group, step: 0, len, params, average, state }
    }

    fn next_step(&self) -> u64 {
        self.step.saturating_add(1)
    }

    /// Makes the state that comes before the first step.
    fn start(&mut self, rule: &AnyRule) {
        if self.step == 0 {
            let mut state = slices(&mut self.state);
            init_state(rule, &self.params, &mut state).expect("state of that rule");
        }
    }

    /// What its state holds about the whole tensor.
    fn numbers(&self, rule: &AnyRule) -> [f64; 4] {
        let mut numbers = [0.0; 4];
        let held = &self.state[full_slots(rule.slots())..];
        let sum = |parts: &Vec<f32>| parts.iter().fold(0.0, |sum, part| sum + f64::from(*part));
        numbers.iter_mut().zip(held).for_each(|(number, parts)| *number = sum(parts));
        numbers
    }
}

/// The numbers in turn; a NaN is above all others.
fn compare(a: &[f64; 4], b: &[f64; 4]) -> Ordering {
    let number = |x: f64| if x.is_nan() { f64::NAN } else { x };
    let in_turn = a.iter().zip(b).map(|(a, b)| number(*a).total_cmp(&number(*b)));
    in_turn.fold(Ordering::Equal, Ordering::then)
}

impl Twin {
    /// Which parameters are stepped with one rule, by their places in the list.
    fn lists(&self, items: &[Item]) -> BTreeMap<usize, Vec<usize>> {
        let mut lists = BTreeMap::<_, Vec<_>>::new();
        for (place, item) in items.iter().enumerate().filter(|(_, item)| item.grads.is_some()) {
            lists.entry(self.entries[item.number].group).or_default().push(place);
        }
        lists
    }

    /// A group's rule, going on from the numbers of the parameter that has taken the most steps, or else the largest ones.
    fn within(&self, group: usize, stepped: &[usize]) -> Within {
        let rule = self.groups[group];
        let of_group = self.entries.iter().filter(|entry| entry.group == group && entry.step > 0);
        let newest = of_group
            .map(|entry| (entry.step, entry.numbers(&rule)))
            .max_by(|a, b| a.0.cmp(&b.0).then(compare(&a.1, &b.1)));
        let first = Entry::new(String::new(), group, &rule, 0, vec![]);
        let initial = || {
            let mut first = first;
            first.start(&rule);
            (0, first.numbers(&rule))
        };
        let (steps, numbers) = newest.unwrap_or_else(initial);
        let step = stepped.iter().map(|&number| self.entries[number].next_step()).max().unwrap_or(1);
        Within { rule, step: step.max(steps), numbers }
    }

    /// Gives the numbers of a parameter that was stepped to all of its group that have begun.
    fn share(&mut self, group: usize, stepped: &[usize]) {
        let full = full_slots(self.groups[group].slots());
        let Some(&first) = stepped.first().filter(|_| shares(&self.groups[group])) else { return };
        let shared = self.entries[first].state[full..].to_vec();
        for entry in self.entries.iter_mut().filter(|entry| entry.group == group && entry.step > 0) {
            entry.state[full..].clone_from_slice(&shared);
        }
    }

    fn step(&mut self, items: &[Item]) -> Report {
        let mut report = Report { stepped: 0, skipped: self.entries.len(), elements: 0 };
        for (group, places) in self.lists(items) {
            let items: Vec<_> = places.iter().map(|&place| &items[place]).collect();
            self.step_list(group, &items);
            report.stepped += items.len();
            report.skipped -= items.len();
            report.elements += items.iter().map(|item| item.params.len()).sum::<usize>();
        }
        report
    }

    fn step_list(&mut self, group: usize, items: &[&Item]) {
        let numbers: Vec<_> = items.iter().map(|item| item.number).collect();
        let (rule, within) = (self.groups[group], self.within(group, &numbers));
        numbers.iter().for_each(|&number| self.entries[number].start(&rule));
        if shares(&rule) {
            let mut entries: Vec<_> = self.entries.iter_mut().map(Some).collect();
            let mut tensors: Vec<_> = (items.iter())
                .map(|item| {
                    let Entry { params, state, step, .. } = entries[item.number].take().expect("once");
                    let grads = item.grads.as_deref().expect("a gradient");
                    Tensor::new(params, grads, slices(state)).expect("few slices").counter(step)
                })
                .collect();
            scalar().step_model(&within, 1, &mut tensors).expect("valid slices");
        } else {
            items.iter().for_each(|item| self.step_alone(&rule, item));
        }
        self.share(group, &numbers);
    }

    fn step_alone(&mut self, rule: &AnyRule, item: &Item) {
        let entry = &mut self.entries[item.number];
        let (step, grads) = (entry.next_step(), item.grads.as_deref().expect("a gradient"));
        let mut state = slices(&mut entry.state);
        Backend::SCALAR.step(rule, step, &mut entry.params, grads, &mut state).expect("valid slices");
        entry.step = step;
    }

    /// Changes the items' gradients as the pass does, and says of each item whether it was skipped and what was not finite.
    fn step_pass(&mut self, asked: &Asked, items: &mut [Item]) -> (PassReport, Vec<(bool, u64)>) {
        let model = self.measure(asked, items);
        let non_finite = model.iter().map(GradSums::non_finite).sum();
        let refused = asked.check == Some(NonFinite::Refuse) && non_finite > 0;
        let skips = |sums: &GradSums| asked.check == Some(NonFinite::Skip) && sums.non_finite() > 0;
        let mut counted = GradSums::default();
        model.iter().filter(|sums| !skips(sums)).for_each(|sums| counted.merge(sums));
        let left_out: Vec<bool> = model.iter().map(|sums| refused || skips(sums)).collect();
        for (group, places) in self.lists(items) {
            let places: Vec<_> = places.into_iter().filter(|&place| !left_out[place]).collect();
            self.finish(&asked.pass, group, &places, items, &model);
        }
        let stepped = || items.iter().zip(&left_out).filter(|(_, left_out)| !**left_out);
        let report = PassReport {
            refused,
            stepped: stepped().count(),
            skipped: self.entries.len() - stepped().count(),
            elements: stepped().map(|(item, _)| item.params.len()).sum(),
            non_finite,
            grad_norm: (asked.check.is_some() || asked.clips_norm).then(|| counted.norm()),
        };
        (report, left_out.into_iter().zip(model.iter().map(GradSums::non_finite)).collect())
    }

    /// Each item alone, as if it had state.
    fn measure(&mut self, asked: &Asked, items: &mut [Item]) -> Vec<GradSums> {
        let mut sums = vec![];
        for item in items {
            let rule = AnyRule::named("sgd").expect("a registered name");
            let entry = &mut self.entries[item.number];
            let mut grads = item.grads.clone().expect("a gradient");
            let mut tensors = [Tensor::new(&mut entry.params[..], &mut grads[..], []).expect("few slices")];
            scalar().measure_pass(&asked.pass, &rule, 1, &mut tensors).expect("valid slices");
            sums.push(tensors[0].sums());
        }
        sums
    }

    /// Those of a group that are stepped, knowing the sums of all.
    fn finish(
        &mut self,
        pass: &Pass,
        group: usize,
        places: &[usize],
        items: &mut [Item],
        model: &[GradSums],
    ) {
        let numbers: Vec<_> = places.iter().map(|&place| items[place].number).collect();
        let (rule, within) = (self.groups[group], self.within(group, &numbers));
        numbers.iter().for_each(|&number| self.entries[number].start(&rule));
        let mut entries: Vec<_> = self.entries.iter_mut().map(Some).collect();
        let list = items.iter_mut().enumerate().filter(|(place, _)| places.contains(place));
        let tensors = list.map(|(place, item)| {
            let mut tensor = entries[item.number].take().expect("once").tensor(item);
            tensor.set_sums(model[place]);
            tensor
        });
        let mut tensors: Vec<_> = tensors.collect();
        let stepped: std::result::Result<Vec<PassReport>, _> = if shares(&rule) {
            scalar().step_pass(pass, &within, 1, &mut tensors).map(|report| vec![report])
        } else if is_elementwise(&rule) {
            tensors.chunks_mut(1).map(|one| scalar().finish_pass(pass, &rule, 1, one, model)).collect()
        } else {
            scalar().step_pass(pass, &rule, 1, &mut tensors).map(|report| vec![report])
        };
        stepped.expect("valid slices");
        self.share(group, &numbers);
    }
}

impl Entry {
    fn tensor<'a>(&'a mut self, item: &'a mut Item) -> Tensor<'a> {
        let grads = item.grads.as_mut().expect("a gradient").as_mut_slice();
        let tensor = Tensor::new(&mut self.params[..], grads, slices(&mut self.state)).expect("few slices");
        let tensor = tensor.counter(&mut self.step);
        match item.average {
            Some(_) => tensor.average(&mut self.average.values, &mut self.average.steps),
            None => tensor,
        }
    }
}

/// A group of the optimizer by its place, or one that it does not know.
enum SomeGroup {
    Own(usize),
    Strange(GroupId),
}

impl Pair {
    fn new(rule: AnyRule) -> Self {
        Self {
            optimizer: Optimizer::new(rule).expect("a rule of the registry"),
            groups: vec![Optimizer::<AnyRule>::FIRST_GROUP],
            ids: vec![],
            params: vec![],
            averages: vec![],
            checkpoint: vec![],
            twin: Twin { groups: vec![rule], entries: vec![] },
            strange: Strange::new(),
        }
    }

    fn some_group(&self, u: &mut Unstructured<'_>) -> Result<SomeGroup> {
        if u.ratio(1, 8)? {
            return Ok(SomeGroup::Strange(*u.choose(&self.strange.groups)?));
        }
        Ok(SomeGroup::Own(u.choose_index(self.groups.len())?))
    }

    fn id_of(&self, group: &SomeGroup) -> GroupId {
        match *group {
            SomeGroup::Own(place) => self.groups[place],
            SomeGroup::Strange(id) => id,
        }
    }

    fn add_group(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.groups.len() < MOST_GROUPS {
            let rule = any_rule(u)?;
            self.groups.push(self.optimizer.add_group(rule).expect("a rule of the registry"));
            self.twin.groups.push(rule);
        }
        Ok(())
    }

    fn register(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (group, number, len) = (self.some_group(u)?, u.int_in_range(0..=9)?, u.int_in_range(0..=40)?);
        self.register_as(&group, name(number), len, values(u, len)?);
        Ok(())
    }

    /// A length for whose state there is no memory, or which no parameter in memory has.
    fn register_huge(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        const MAX: usize = isize::MAX as usize;
        const LENS: [usize; 10] = [
            usize::MAX,
            usize::MAX - 15,
            usize::MAX / 2 + 1,
            MAX,
            MAX / 2,
            MAX / 4 + 1,
            MAX / 4,
            MAX / 4 - 15,
            MAX / 8,
            1 << 50,
        ];
        let (group, number, len) = (self.some_group(u)?, u.int_in_range(0..=9)?, *u.choose(&LENS)?);
        self.register_as(&group, name(number), len, vec![]);
        Ok(())
    }

    fn register_as(&mut self, group: &SomeGroup, name: String, len: usize, params: Vec<f32>) {
        if self.ids.len() == MOST_PARAMS {
            return;
        }
        let found = self.optimizer.register_in(self.id_of(group), &name, len);
        let SomeGroup::Own(group) = *group else { return assert_refused(found, "UnknownGroup") };
        if self.twin.entries.iter().any(|entry| entry.name == name) {
            return assert_refused(found, "DuplicateName");
        }
        let rule = &self.twin.groups[group];
        let fits = len <= isize::MAX as usize / 4
            && (len < 1 << 50 || rule.slots().iter().all(|slot| !slot.is_full()));
        if !fits {
            return assert_refused(found, "NoMemory");
        }
        self.ids.push(found.expect("a new name"));
        self.twin.entries.push(Entry::new(name, group, rule, len, params.clone()));
        self.averages.push(Averaged { values: params.clone(), steps: 0 });
        self.params.push(params);
    }

    /// So many that a sort shows whether it keeps the order.
    fn register_many(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (many, all) = (if u.arbitrary()? { 3 } else { u.int_in_range(0..=30)? }, values(u, 60)?);
        for number in 10..10 + many {
            let params = all[number..][..number % 3].to_vec();
            let group = SomeGroup::Own(number % self.groups.len());
            self.register_as(&group, name(number), params.len(), params);
        }
        Ok(())
    }

    /// The same rule with other options, or any other.
    fn set_rule(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let group = self.some_group(u)?;
        let SomeGroup::Own(place) = group else {
            assert_refused(self.optimizer.set_rule(self.id_of(&group), any_rule(u)?), "UnknownGroup");
            return Ok(());
        };
        let mut rule = self.twin.groups[place];
        match u.int_in_range(0..=2)? {
            0 => rule = any_rule(u)?,
            // The next one on the list, which may be the same rule under another name.
            1 => {
                let preset = u.choose(AnyRule::presets(rule.name()))?;
                rule = AnyRule::preset(rule.name(), preset).expect("a registered preset");
            }
            _ => change_options(u, &mut rule)?,
        }
        let found = self.optimizer.set_rule(self.id_of(&group), rule);
        let present = &mut self.twin.groups[place];
        if StateKind::of(present) == StateKind::of(&rule) {
            assert_eq!(found, Ok(()));
            *present = rule;
        } else {
            assert_refused(found, "OtherState");
        }
        Ok(())
    }

    fn set_lr(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (group, lr) = (self.some_group(u)?, number(u)?);
        let found = self.optimizer.set_lr(self.id_of(&group), lr);
        match group {
            SomeGroup::Own(place) => {
                let mut changed = self.twin.groups[place];
                let expected = changed.set("lr", lr).and_then(|()| changed.check());
                if expected.is_ok() {
                    self.twin.groups[place] = changed;
                }
                // An error that holds a NaN does not equal itself.
                assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
            SomeGroup::Strange(_) => assert_refused(found, "UnknownGroup"),
        }
        Ok(())
    }

    /// Some parameters in any order, some of them without a gradient unless all must have one.
    fn items(&self, u: &mut Unstructured<'_>, all_have_grads: bool, averages: bool) -> Result<Vec<Item>> {
        let total = self.params.iter().map(Vec::len).sum();
        let (mostly, seeds, all) = (u.arbitrary::<bool>()?, values(u, self.params.len())?, values(u, total)?);
        let (mut items, mut at) = (vec![], 0);
        for (number, (params, seed)) in self.params.iter().zip(seeds).enumerate() {
            let grads = &all[at..][..params.len()];
            at += params.len();
            let is_huge = self.twin.entries[number].len > params.len();
            if !is_huge && (mostly || seed > 0.0) {
                let skipped = !all_have_grads && seed > 6.0;
                let average = averages.then(|| self.averages[number].clone());
                items.push(Item {
                    number,
                    id: self.ids[number],
                    params: params.clone(),
                    grads: (!skipped).then(|| grads.to_vec()),
                    average,
                    extra: None,
                });
            }
        }
        let first = u.int_in_range(0..=items.len())?;
        items.rotate_left(first);
        Ok(items)
    }

    /// Makes at most one thing wrong.
    fn spoil(&self, u: &mut Unstructured<'_>, items: &mut Vec<Item>) -> Result<Fault> {
        let fault = u.int_in_range(0..=23)?;
        if items.is_empty() {
            return Ok(None);
        }
        let place = u.choose_index(items.len())?;
        let item = &mut items[place];
        Ok(match fault {
            0 => {
                item.params.push(1.0);
                item.grads = item.grads.as_ref().map(|_| item.params.clone());
                Some("TensorLength")
            }
            1 => item.grads.as_mut().map(|grads| {
                grads.push(1.0);
                "TensorLength"
            }),
            2 => {
                item.id = *u.choose(&self.strange.ids)?;
                Some("OtherOptimizer")
            }
            3 => {
                let again = item.clone();
                items.push(again);
                Some("PassedTwice")
            }
            4 => {
                let huge = |entry: &Entry| entry.len > entry.params.len();
                let place = self.twin.entries.iter().position(huge);
                place.map(|place| {
                    item.id = self.ids[place];
                    "TensorLength"
                })
            }
            _ => None,
        })
    }

    /// What a step did to the list's parameters is theirs.
    fn take_over(&mut self, items: Vec<Item>) {
        for item in items {
            self.params[item.number] = item.params;
            if let Some(average) = item.average {
                self.averages[item.number] = average;
            }
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut items = self.items(u, false, false)?;
        items.retain(|item| item.grads.is_some());
        let fault = self.spoil(u, &mut items)?;
        let before = items.clone();
        let mut list: Vec<Param<'_>> = items.iter_mut().filter_map(Item::param).collect();
        let found = self.optimizer.step(&workers(u)?, &mut list);
        match fault {
            Some(fault) => {
                assert_refused(found, fault);
                assert_same_items(&items, &before);
            }
            None => {
                assert_eq!(found, Ok(self.twin.step(&before)));
                self.take_over(items);
            }
        }
        Ok(())
    }

    fn step_pass(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let averages = u.arbitrary()?;
        let mut items = self.items(u, true, averages)?;
        let lists = self.twin.lists(&items);
        // Then the twin cannot know the norm of all gradients.
        let apart = lists.len() > 1 && lists.keys().any(|&group| !is_elementwise(&self.twin.groups[group]));
        let asked = any_pass(u, !apart, averages)?;
        let mut fault = self.spoil(u, &mut items)?;
        if let (None, Some(first)) = (fault, items.first_mut()) {
            fault = asked.spoil(u, first)?;
        }

        let mut after = items.clone();
        let (mut spare, mut counter) = ([0.0], 7);
        let mut extras = (Some(&mut spare[..]), Some(&mut counter));
        let mut list: Vec<Param<'_>> = after.iter_mut().map(|item| item.pass_param(&mut extras)).collect();
        let found = self.optimizer.step_pass(&workers(u)?, &asked.pass, &mut list);
        if let Some(fault) = fault {
            assert_refused(found, fault);
            assert_same_items(&after, &items);
            assert_eq!((spare, counter), ([0.0], 7));
            return Ok(());
        }
        // No parameter of the list has what a part of the pass needs.
        if matches!(found, Err(gradstep::Error::NoEffect { .. })) {
            assert_same_items(&after, &items);
            return Ok(());
        }
        let told: BTreeMap<ParamId, (bool, u64)> = list
            .iter()
            .map(|param| (param.id, (param.tensor.skipped(), param.tensor.non_finite())))
            .collect();
        let (expected, expected_told) = self.twin.step_pass(&asked, &mut items);
        // A norm that is NaN does not equal itself.
        assert_eq!(format!("{:?}", found.expect("a valid list")), format!("{expected:?}"));
        for (item, expected) in items.iter().zip(expected_told) {
            assert_eq!(told[&item.id], expected, "{}", item.number);
        }
        for (found, expected) in after.iter().zip(&items) {
            assert_eq!(found.grads.as_deref().map(bits), expected.grads.as_deref().map(bits));
        }
        self.take_over(after);
        Ok(())
    }

    /// A new optimizer that has been loaded with all that was saved goes on in place of the old one, whose numbers it refuses.
    fn save_and_load(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut groups = self.twin.groups.iter();
        let mut second =
            Optimizer::new(*groups.next().expect("the first group")).expect("a rule of the registry");
        let ids = vec![Optimizer::<AnyRule>::FIRST_GROUP];
        let added = groups.map(|rule| second.add_group(*rule).expect("a rule of the registry"));
        let groups: Vec<_> = ids.into_iter().chain(added).collect();
        let entries = self.twin.entries.iter();
        let registered = entries.map(|entry| second.register_in(groups[entry.group], &entry.name, entry.len));
        let ids: Vec<_> = registered.map(|id| id.expect("a new name")).collect();
        let backwards = u.arbitrary()?;
        let mut all: Vec<_> = self.optimizer.save().collect();
        if backwards {
            all.reverse();
        }
        for saved in all {
            let mut state: Vec<(&str, &[f32])> = saved.state.collect();
            if backwards {
                state.reverse();
            }
            let made_by = &saved.made_by.to_string();
            let saved_again = Saved { made_by, step: saved.step, state: &state };
            second.load(saved.name, &saved_again).expect("it was saved so");
        }
        self.optimizer = second;
        self.strange.ids.append(&mut std::mem::replace(&mut self.ids, ids));
        self.strange.groups.extend(std::mem::replace(&mut self.groups, groups).into_iter().skip(1));
        Ok(())
    }

    /// Keeps a checkpoint, or puts the one that was kept in place again: all of it, or but for one parameter.
    fn set_back(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.checkpoint.is_empty() || u.ratio(1, 3)? {
            let entries = self.twin.entries.iter();
            self.checkpoint = entries.map(|entry| (entry.step, entry.state.clone())).collect();
            return Ok(());
        }
        let but = if u.arbitrary()? { Some(u.choose_index(self.checkpoint.len())?) } else { None };
        let kept = self.checkpoint.iter().zip(&mut self.twin.entries).enumerate();
        for (_, ((step, state), entry)) in kept.filter(|(number, _)| Some(*number) != but) {
            let rule = self.twin.groups[entry.group];
            let names = rule.slots().iter().map(|slot| slot.name);
            let list: Vec<_> = names.zip(state.iter().map(Vec::as_slice)).collect();
            let saved = Saved { made_by: &StateKind::of(&rule).to_string(), step: *step, state: &list };
            self.optimizer.load(&entry.name, &saved).expect("it had this state");
            entry.load(&rule, *step, state.clone());
        }
        Ok(())
    }

    /// Other state for one parameter, with at most one fault.
    fn load(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (number, step) = (u.int_in_range(0..=self.params.len())?, steps_taken(u)?);
        let nobody = Saved { made_by: "sgd", step, state: &[] };
        let Some(entry) = self.twin.entries.get_mut(number) else {
            assert_refused(self.optimizer.load("nobody", &nobody), "UnknownParam");
            return Ok(());
        };
        let rule = self.twin.groups[entry.group];
        let state = any_state(u, &rule, entry.len)?;
        let mut list: Vec<(&str, &[f32])> =
            rule.slots().iter().map(|slot| slot.name).zip(state.iter().map(Vec::as_slice)).collect();
        let longer = list.first().map(|(_, values)| [values, &[1.0][..]].concat()).unwrap_or_default();
        let own = StateKind::of(&rule);
        let mut made_by = own.to_string();
        let fault = match (u.int_in_range(0..=11)?, list.first().copied()) {
            (0, Some(_)) => list.pop().map(|_| "SavedState"),
            (1, Some(first)) => {
                list.push(first);
                Some("SavedState")
            }
            (2, _) => {
                list.push(("nothing", &[]));
                Some("SavedState")
            }
            (3, Some(_)) => {
                list[0].1 = &longer;
                Some("TensorLength")
            }
            (4 | 5, _) => {
                let other = StateKind::of(&any_rule(u)?);
                made_by = other.to_string();
                ((other.rule, other.convention) != (own.rule, own.convention)).then_some("OtherSaved")
            }
            (6, _) => {
                made_by.push_str(u.choose(&["x", "/y", " "])?);
                Some("OtherSaved")
            }
            _ => None,
        };
        let found = self.optimizer.load(&entry.name, &Saved { made_by: &made_by, step, state: &list });
        match fault {
            Some(fault) => assert_refused(found, fault),
            None => {
                assert_eq!(found, Ok(()));
                entry.load(&rule, step, state);
            }
        }
        Ok(())
    }

    fn assert_same(&self) {
        for (id, rule) in self.groups.iter().zip(&self.twin.groups) {
            assert_eq!(self.optimizer.rule(*id), Ok(rule));
            let lr = self.optimizer.lr(*id).ok().map(Value::Number);
            assert_eq!(lr, rule.get("lr"));
        }
        for id in &self.strange.groups {
            assert_refused(self.optimizer.rule(*id), "UnknownGroup");
            assert_refused(self.optimizer.lr(*id), "UnknownGroup");
        }
        assert_eq!(self.optimizer.save().count(), self.twin.entries.len());
        for (number, (saved, entry)) in self.optimizer.save().zip(&self.twin.entries).enumerate() {
            let rule = &self.twin.groups[entry.group];
            assert_eq!((saved.name, saved.step), (&entry.name[..], entry.step));
            assert_eq!(saved.made_by, StateKind::of(rule));
            assert_eq!(self.optimizer.id(saved.name), Ok(self.ids[number]));
            let state: Vec<_> = saved.state.collect();
            assert!(state.iter().map(|(name, _)| *name).eq(rule.slots().iter().map(|slot| slot.name)));
            for (((name, found), slot), expected) in state.iter().zip(rule.slots()).zip(&entry.state) {
                // State of step 0 is of no account, but for what the caller fills.
                let counts = entry.step > 0 || slot.initial == Initial::Caller;
                assert!(
                    !counts || bits(found) == bits(expected),
                    "{}, {name}: {found:?} {expected:?}",
                    entry.name
                );
            }
            assert_eq!(bits(&self.params[number]), bits(&entry.params), "parameters of {}", entry.name);
            let average = &self.averages[number];
            assert_eq!(average.steps, entry.average.steps, "count of {}", entry.name);
            assert_eq!(bits(&average.values), bits(&entry.average.values), "average of {}", entry.name);
        }
    }
}

impl Entry {
    /// State of step 0 is still to be made, but for what the caller fills.
    fn load(&mut self, rule: &AnyRule, step: u64, state: Vec<Vec<f32>>) {
        for ((held, loaded), slot) in self.state.iter_mut().zip(state).zip(rule.slots()) {
            if step > 0 || slot.initial == Initial::Caller {
                *held = loaded;
            }
        }
        self.step = step;
    }
}

fn assert_same_items(found: &[Item], expected: &[Item]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(bits(&found.params), bits(&expected.params));
        assert_eq!(found.grads.as_deref().map(bits), expected.grads.as_deref().map(bits));
        let average = |item: &Item| item.average.as_ref().map(|kept| (bits(&kept.values), kept.steps));
        assert_eq!(average(found), average(expected));
    }
}

/// A pass, and what was asked of it.
struct Asked {
    pass: Pass,
    check: Option<NonFinite>,
    clips_norm: bool,
    averages: bool,
    zeroes: bool,
}

fn any_pass(u: &mut Unstructured<'_>, global: bool, averages: bool) -> Result<Asked> {
    let check = *u.choose(&[None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)])?;
    let mut pass = check.map_or(Pass::new(), |policy| Pass::new().check(policy));
    pass = pass.loss_scale(number(u)?).unwrap_or(pass);
    let clip = match u.int_in_range(0..=3)? {
        0 => pass.clip_tensor_norm(number(u)?),
        1 if global => pass.clip_global_norm(number(u)?),
        _ => Ok(pass),
    };
    let clips_norm = clip.as_ref().is_ok_and(|clipped| *clipped != pass);
    pass = clip.unwrap_or(pass);
    pass = if u.ratio(1, 4)? { pass.clip_value(number(u)?).unwrap_or(pass) } else { pass };
    pass = if u.ratio(1, 4)? { pass.bounds(-1.0, number(u)? as f32).unwrap_or(pass) } else { pass };
    pass = if u.arbitrary()? { pass.flush_subnormals() } else { pass };
    if averages {
        let average = if u.arbitrary()? { Average::exponential(number(u)?) } else { Ok(Average::mean()) };
        let average = average.unwrap_or(Average::mean()).from_step(count(u)?).every(count(u)?);
        pass = pass.average(average.overwrite_every(count(u)?));
    }
    let zeroes = u.arbitrary()?;
    Ok(Asked { pass: if zeroes { pass.zero_grads() } else { pass }, check, clips_norm, averages, zeroes })
}

impl Asked {
    /// Makes at most one thing wrong with a parameter in the pass.
    fn spoil(&self, u: &mut Unstructured<'_>, item: &mut Item) -> Result<Fault> {
        Ok(match u.int_in_range(0..=19)? {
            0 => {
                item.extra = Some(Extra::State);
                Some("Pass")
            }
            1 => {
                item.extra = Some(Extra::Counter);
                Some("Pass")
            }
            2 if self.zeroes => {
                item.extra = Some(Extra::ReadOnly);
                Some("Pass")
            }
            3 if !self.averages => {
                item.average = Some(Averaged { values: item.params.clone(), steps: 0 });
                Some("Pass")
            }
            4 => item.average.as_mut().map(|average| {
                average.values.push(0.0);
                "TensorLength"
            }),
            _ => None,
        })
    }
}

/// State and a counter for those that must not have any.
type Extras<'a> = (Option<&'a mut [f32]>, Option<&'a mut u64>);

impl Item {
    fn param(&mut self) -> Option<Param<'_>> {
        Some(Param::new(self.id, &mut self.params, self.grads.as_deref()?))
    }

    fn pass_param<'a>(&'a mut self, extras: &mut Extras<'a>) -> Param<'a> {
        let Self { id, params, grads, average, extra, .. } = self;
        let grads = grads.as_mut().expect("a gradient");
        let state = extras.0.take_if(|_| *extra == Some(Extra::State));
        let tensor = if *extra == Some(Extra::ReadOnly) {
            Tensor::new(params.as_mut_slice(), grads.as_slice(), state)
        } else {
            Tensor::new(params.as_mut_slice(), grads.as_mut_slice(), state)
        };
        let mut tensor = tensor.expect("few slices");
        if let Some(Averaged { values, steps }) = average {
            tensor = tensor.average(values, steps);
        }
        if let Some(counter) = extras.1.take_if(|_| *extra == Some(Extra::Counter)) {
            tensor = tensor.counter(counter);
        }
        Param { id: *id, tensor }
    }
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    type Operation = fn(&mut Pair, &mut Unstructured<'_>) -> Result<()>;
    const OPERATIONS: [Operation; 18] = [
        Pair::add_group,
        Pair::register,
        Pair::register,
        Pair::register_huge,
        Pair::register_many,
        Pair::set_rule,
        Pair::set_lr,
        Pair::step,
        Pair::step,
        Pair::step,
        Pair::step_pass,
        Pair::step_pass,
        Pair::step_pass,
        Pair::save_and_load,
        Pair::set_back,
        Pair::set_back,
        Pair::load,
        Pair::load,
    ];
    let mut pair = Pair::new(any_rule(u)?);
    pair.register_many(u)?;
    while !u.is_empty() {
        u.choose(&OPERATIONS)?(&mut pair, u)?;
        pair.assert_same();
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // Where the bytes come to an end, so do the operations.
    let _ = run(&mut Unstructured::new(&with_tail(data, 300)));
});

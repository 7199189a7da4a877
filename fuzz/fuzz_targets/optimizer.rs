//! Bytes become operations on an optimizer, valid and faulty ones, and on a naive twin that keeps every state slice in a vector
//! of its own and steps each tensor alone with the scalar backend. After each operation both must hold the same bits, and what
//! the optimizer refuses must have changed nothing.

#![no_main]

use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock};

use arbitrary::{Result, Unstructured};
use gradstep::{
    AnyRule, Backend, GradSums, GroupId, Kind, NonFinite, Optimizer, Param, ParamId, Pass, PassParam,
    PassReport, PassTensor, Report, Rule, Scope, Tensor, Value, Workers, splitmix64,
};
use libfuzzer_sys::fuzz_target;

const MOST_GROUPS: usize = 4;
const MOST_PARAMS: usize = 48;

/// The numbers that an optimizer gives out, and some more, which it has to refuse.
static NUMBERS: LazyLock<(Vec<GroupId>, Vec<ParamId>)> = LazyLock::new(|| {
    let rule = AnyRule::named("sgd").expect("a registered name");
    let mut other = Optimizer::new(rule).expect("a rule of the registry");
    let ids = (0..=MOST_PARAMS).map(|i| other.register(&name(i), 0).expect("a new name")).collect();
    let added = (0..MOST_GROUPS).map(|_| other.add_group(rule).expect("a rule of the registry"));
    ([Optimizer::<AnyRule>::FIRST_GROUP].into_iter().chain(added).collect(), ids)
});

fn group_id(number: usize) -> GroupId {
    NUMBERS.0[number]
}

fn param_id(number: usize) -> ParamId {
    NUMBERS.1[number]
}

fn name(number: usize) -> String {
    format!("p{number}")
}

/// The optimizer, with the parameters that its caller keeps.
struct Pair {
    optimizer: Optimizer,
    params: Vec<Vec<f32>>,
    twin: Twin,
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
    params: Vec<f32>,
    state: Vec<Vec<f32>>,
}

/// A parameter in a step. The numbers are the operation's own, so that faulty lists have some, too.
#[derive(Clone)]
struct Item {
    number: usize,
    params: Vec<f32>,
    grads: Option<Vec<f32>>,
    /// Whether a pass gets a state slice, which it must not.
    with_state: bool,
}

/// What has been made wrong, as the error's name.
type Fault = Option<&'static str>;

/// Which NaN is not specified.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// Plain numbers, or any bits at all.
fn values(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<f32>> {
    let (mut seed, any_bits) = (u.arbitrary::<u16>()?.into(), u.ratio(1, 4)?);
    let value = |_| match splitmix64(&mut seed) {
        random if any_bits => f32::from_bits(random as u32),
        random => (random as i32 >> 16) as f32 / 4096.0,
    };
    Ok((0..len).map(value).collect())
}

fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    if u.ratio(3, 4)? { Ok(f64::from(u.arbitrary::<u8>()?) / 200.0) } else { u.arbitrary() }
}

/// A few options are set at random, but for what a rule refuses or what contradicts another option.
fn change_options(u: &mut Unstructured<'_>, rule: &mut AnyRule) -> Result<()> {
    for _ in 0..u.int_in_range(0..=3)? {
        let option = u.choose(rule.options())?;
        let value = match option.kind {
            Kind::Number(_) => Value::Number(number(u)?),
            Kind::Flag => Value::Flag(u.arbitrary()?),
            Kind::Choice(words) => Value::Choice(u.choose(words)?),
        };
        let mut changed = *rule;
        if changed.set(option.name, value).is_ok() && changed.check().is_ok() {
            *rule = changed;
        }
    }
    Ok(())
}

fn any_rule(u: &mut Unstructured<'_>) -> Result<AnyRule> {
    let name = u.choose(AnyRule::NAMES)?;
    let mut rule = AnyRule::preset(name, u.choose(AnyRule::presets(name))?).expect("a registered preset");
    change_options(u, &mut rule)?;
    Ok(rule)
}

fn workers(u: &mut Unstructured<'_>) -> Result<Workers> {
    let backends: Vec<Backend> = Backend::available().collect();
    Ok(Workers::serial().backend(*u.choose(&backends)?))
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

/// What slices there are, and which have one element.
fn layout(rule: &AnyRule) -> (&'static [&'static str], usize) {
    (rule.state(), rule.scalars())
}

impl Entry {
    fn new(name: String, group: usize, rule: &AnyRule, params: Vec<f32>) -> Self {
        let slots = 0..rule.slots().len();
        let state = slots.map(|slot| vec![rule.initial(slot); rule.slots()[slot].len(params.len())]).collect();
        Self { name, group, step: 0, params, state }
    }

    fn next_step(&self) -> u64 {
        self.step.saturating_add(1)
    }
}

impl Twin {
    /// Which parameters are stepped together, at which step: those of a group that have taken as many steps.
    fn tags(&self, items: &[Item]) -> BTreeMap<(usize, u64), BTreeMap<usize, Item>> {
        let mut tags = BTreeMap::<_, BTreeMap<_, _>>::new();
        for item in items.iter().filter(|item| item.grads.is_some()) {
            let entry = &self.entries[item.number];
            tags.entry((entry.group, entry.next_step())).or_default().insert(item.number, item.clone());
        }
        tags
    }

    fn step(&mut self, items: &[Item]) -> Report {
        let mut report = Report { stepped: 0, skipped: self.entries.len(), elements: 0 };
        for ((group, step), items) in self.tags(items) {
            let rule = self.groups[group];
            let mut tensors = vec![];
            for (number, entry) in self.entries.iter_mut().enumerate() {
                let Some(grads) = items.get(&number).and_then(|item| item.grads.as_deref()) else { continue };
                report.stepped += 1;
                report.skipped -= 1;
                report.elements += grads.len();
                entry.step = step;
                let mut state: Vec<&mut [f32]> = entry.state.iter_mut().map(Vec::as_mut_slice).collect();
                if rule.scope() == Scope::Tensor {
                    let stepped = Backend::SCALAR.step(&rule, step, &mut entry.params, grads, &mut state);
                    stepped.expect("valid slices");
                } else {
                    tensors.push(Tensor::new(&mut entry.params, grads, state).expect("few slices"));
                }
            }
            if rule.scope() == Scope::Together {
                scalar().step_model(&rule, step, &mut tensors).expect("valid slices");
            }
        }
        report
    }

    /// Changes the items' gradients as the pass does, and says of each item whether it was skipped and what was not finite.
    /// The norm that is told is that of the last ones that are stepped together.
    fn step_pass(
        &mut self,
        pass: &Pass,
        refuses: bool,
        items: &mut [Item],
    ) -> (PassReport, Vec<(bool, u64)>) {
        let tags = self.tags(items);
        let model = self.measure(pass, items);
        let non_finite = model.iter().map(GradSums::non_finite).sum();
        let refused = refuses && non_finite > 0;
        let skipped = self.entries.len();
        let mut report =
            PassReport { refused, stepped: 0, skipped, elements: 0, non_finite, grad_norm: None };
        let mut left_out = vec![refused; items.len()];
        for tag in tags.into_keys().filter(|_| !refused) {
            let part = self.finish(pass, tag, items, &model, &mut left_out);
            report.grad_norm = part.grad_norm;
            report.stepped += part.stepped;
            report.skipped -= part.stepped;
            report.elements += part.elements;
        }
        // Counters only now: they are what the tags go by.
        for (item, _) in items.iter().zip(&left_out).filter(|(_, left_out)| !**left_out) {
            let entry = &mut self.entries[item.number];
            entry.step = entry.next_step();
        }
        (report, left_out.into_iter().zip(model.iter().map(GradSums::non_finite)).collect())
    }

    /// Each item alone.
    fn measure(&mut self, pass: &Pass, items: &mut [Item]) -> Vec<GradSums> {
        let mut sums = vec![];
        for item in items {
            let entry = &mut self.entries[item.number];
            let (rule, step) = (self.groups[entry.group], entry.next_step());
            let mut tensors = [tensor(entry, item)];
            scalar().measure_pass(pass, &rule, step, &mut tensors).expect("valid slices");
            sums.push(tensors[0].sums());
        }
        sums
    }

    /// Those that are stepped together, knowing the sums of all.
    fn finish(
        &mut self,
        pass: &Pass,
        (group, step): (usize, u64),
        items: &mut [Item],
        model: &[GradSums],
        left_out: &mut [bool],
    ) -> PassReport {
        let rule = self.groups[group];
        let mut list: Vec<(usize, &mut Item)> = items.iter_mut().enumerate().collect();
        // A rule whose sums go over all tensors starts from the scalars of the first one.
        list.sort_by_key(|(_, item)| item.number);
        let mut entries: Vec<Option<&mut Entry>> = self.entries.iter_mut().map(Some).collect();
        let (mut places, mut tensors) = (vec![], vec![]);
        for (place, item) in list {
            let entry =
                entries[item.number].take().filter(|entry| (entry.group, entry.next_step()) == (group, step));
            if let Some(entry) = entry {
                let mut tensor = tensor(entry, item);
                tensor.set_sums(model[place]);
                places.push(place);
                tensors.push(tensor);
            }
        }
        let report = if full_slots(rule.slots()) == rule.slots().len() {
            scalar().finish_pass(pass, &rule, step, &mut tensors, model)
        } else {
            scalar().step_pass(pass, &rule, step, &mut tensors)
        };
        for (place, tensor) in places.into_iter().zip(&tensors) {
            left_out[place] = tensor.skipped();
        }
        report.expect("valid slices")
    }
}

fn tensor<'a>(entry: &'a mut Entry, item: &'a mut Item) -> PassTensor<'a> {
    let grads = item.grads.as_mut().expect("a gradient").as_mut_slice();
    let state = entry.state.iter_mut().map(Vec::as_mut_slice);
    PassTensor::new(entry.params.as_mut_slice(), grads, state).expect("few slices")
}

impl Pair {
    fn new(rule: AnyRule) -> Self {
        let optimizer = Optimizer::new(rule).expect("a rule of the registry");
        Self { optimizer, params: vec![], twin: Twin { groups: vec![rule], entries: vec![] } }
    }

    /// A group, or one more than there are.
    fn some_group(&self, u: &mut Unstructured<'_>) -> Result<usize> {
        u.int_in_range(0..=self.twin.groups.len())
    }

    fn add_group(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.twin.groups.len() < MOST_GROUPS {
            let rule = any_rule(u)?;
            let id = self.optimizer.add_group(rule).expect("a rule of the registry");
            assert_eq!(id, group_id(self.twin.groups.len()));
            self.twin.groups.push(rule);
        }
        Ok(())
    }

    fn register(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (group, number, len) = (self.some_group(u)?, u.int_in_range(0..=9)?, u.int_in_range(0..=40)?);
        self.register_as(group, name(number), values(u, len)?);
        Ok(())
    }

    fn register_as(&mut self, group: usize, name: String, params: Vec<f32>) {
        if self.twin.entries.len() == MOST_PARAMS {
            return;
        }
        let found = self.optimizer.register_in(group_id(group), &name, params.len());
        let Some(rule) = self.twin.groups.get(group) else { return assert_refused(found, "UnknownGroup") };
        if self.twin.entries.iter().any(|entry| entry.name == name) {
            return assert_refused(found, "DuplicateName");
        }
        assert_eq!(found, Ok(param_id(self.params.len())));
        self.twin.entries.push(Entry::new(name, group, rule, params.clone()));
        self.params.push(params);
    }

    /// So many that a sort shows whether it keeps the order.
    fn register_many(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        for number in 10..10 + u.int_in_range(0..=30)? {
            let params = values(u, number % 3)?;
            self.register_as(number % self.twin.groups.len(), name(number), params);
        }
        Ok(())
    }

    /// The same rule with other options, or any other.
    fn set_rule(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let group = self.some_group(u)?;
        let mut rule = *self.twin.groups.get(group).unwrap_or(&self.twin.groups[0]);
        if u.arbitrary()? {
            rule = any_rule(u)?;
        } else {
            change_options(u, &mut rule)?;
        }
        let found = self.optimizer.set_rule(group_id(group), rule);
        let Some(present) = self.twin.groups.get_mut(group) else {
            assert_refused(found, "UnknownGroup");
            return Ok(());
        };
        if layout(present) == layout(&rule) {
            assert_eq!(found, Ok(()));
            *present = rule;
        } else {
            assert_refused(found, "OtherState");
        }
        Ok(())
    }

    fn set_lr(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (group, lr) = (self.some_group(u)?, number(u)?);
        let found = self.optimizer.set_lr(group_id(group), lr);
        match self.twin.groups.get_mut(group) {
            Some(rule) => {
                let mut changed = *rule;
                let expected = changed.set("lr", lr).and_then(|()| changed.check());
                if expected.is_ok() {
                    *rule = changed;
                }
                // An error that holds a NaN does not equal itself.
                assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
            None => assert_refused(found, "UnknownGroup"),
        }
        Ok(())
    }

    /// Some parameters in any order, some of them without a gradient unless all must have one.
    fn items(&self, u: &mut Unstructured<'_>, all_have_grads: bool) -> Result<Vec<Item>> {
        let mut items = vec![];
        let (mostly, seed) = (u.arbitrary::<bool>()?, values(u, self.params.len())?);
        for (number, (params, seed)) in self.params.iter().zip(seed).enumerate() {
            if mostly || seed > 0.0 {
                let skipped = !all_have_grads && seed > 6.0;
                let grads = if skipped { None } else { Some(values(u, params.len())?) };
                items.push(Item { number, params: params.clone(), grads, with_state: false });
            }
        }
        let first = u.int_in_range(0..=items.len())?;
        items.rotate_left(first);
        Ok(items)
    }

    /// Makes at most one thing wrong.
    fn spoil(&self, u: &mut Unstructured<'_>, items: &mut Vec<Item>, fault: u8) -> Result<Fault> {
        if items.is_empty() {
            return Ok(None);
        }
        let place = u.choose_index(items.len())?;
        let item = &mut items[place];
        Ok(match fault {
            0 => {
                item.params.push(1.0);
                Some("TensorLength")
            }
            1 => item.grads.as_mut().map(|grads| {
                grads.push(1.0);
                "TensorLength"
            }),
            2 => {
                item.number = self.params.len();
                Some("UnknownParam")
            }
            3 => {
                let again = item.clone();
                items.push(again);
                Some("PassedTwice")
            }
            _ => None,
        })
    }

    /// What a step did to the list's parameters is theirs.
    fn take_over(&mut self, items: Vec<Item>) {
        for item in items {
            self.params[item.number] = item.params;
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut items = self.items(u, false)?;
        let fault = u.int_in_range(0..=15)?;
        let fault = self.spoil(u, &mut items, fault)?;
        let before = items.clone();
        let mut list: Vec<Param<'_>> = items.iter_mut().map(Item::param).collect();
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
        let mut items = self.items(u, true)?;
        let tags = self.twin.tags(&items).len();
        let any_scalars = self.twin.groups.iter().any(|rule| full_slots(rule.slots()) < rule.slots().len());
        // Then the twin cannot know the norm.
        let apart = tags > 1 && any_scalars;
        let (pass, refuses, zeroes) = any_pass(u, !apart)?;
        let fault = u.int_in_range(0..=15)?;
        let mut fault = self.spoil(u, &mut items, fault)?;
        if fault.is_none() && !items.is_empty() && u.ratio(1, 16)? {
            items[0].with_state = true;
            fault = Some("StateCount");
        }
        let read_only = fault.is_none() && !items.is_empty() && zeroes && u.ratio(1, 8)?;
        fault = if read_only { Some("Pass") } else { fault };

        let mut after = items.clone();
        let mut spare = [0.0];
        let mut spare = Some(&mut spare[..]);
        let mut list: Vec<PassParam<'_>> =
            after.iter_mut().map(|item| item.pass_param(&mut spare, read_only)).collect();
        let found = self.optimizer.step_pass(&workers(u)?, &pass, &mut list);
        if let Some(fault) = fault {
            assert_refused(found, fault);
            assert_same_items(&after, &items);
            return Ok(());
        }
        let told: BTreeMap<ParamId, (bool, u64)> = list
            .iter()
            .map(|param| (param.id, (param.tensor.skipped(), param.tensor.non_finite())))
            .collect();
        let (expected, expected_told) = self.twin.step_pass(&pass, refuses, &mut items);
        let found = found.expect("a valid list");
        if tags == 1 && !found.refused {
            // A norm that is NaN does not equal itself.
            assert_eq!(format!("{:?}", found.grad_norm), format!("{:?}", expected.grad_norm));
        }
        assert_eq!(PassReport { grad_norm: None, ..found }, PassReport { grad_norm: None, ..expected });
        for (item, expected) in items.iter().zip(expected_told) {
            assert_eq!(told[&param_id(item.number)], expected, "{}", item.number);
        }
        for (found, expected) in after.iter().zip(&items) {
            assert_eq!(found.grads.as_deref().map(bits), expected.grads.as_deref().map(bits));
        }
        self.take_over(after);
        Ok(())
    }

    /// A new optimizer that has been loaded with all that was saved goes on in place of the old one.
    fn save_and_load(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut groups = self.twin.groups.iter();
        let first = *groups.next().expect("the first group");
        let mut second = Optimizer::new(first).expect("a rule of the registry");
        for rule in groups {
            second.add_group(*rule).expect("a rule of the registry");
        }
        for entry in &self.twin.entries {
            let registered = second.register_in(group_id(entry.group), &entry.name, entry.params.len());
            registered.expect("a new name");
        }
        let backwards = u.arbitrary()?;
        for saved in self.optimizer.save() {
            let mut state: Vec<(&str, &[f32])> = saved.state.collect();
            if backwards {
                state.reverse();
            }
            second.load(saved.name, saved.step, &state).expect("it was saved so");
        }
        self.optimizer = second;
        Ok(())
    }

    /// Other state for one parameter, with at most one fault.
    fn load(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let number = u.int_in_range(0..=self.params.len())?;
        let step = if u.ratio(1, 4)? { u64::MAX - u64::from(u.arbitrary::<bool>()?) } else { u.arbitrary()? };
        let Some(entry) = self.twin.entries.get_mut(number) else {
            assert_refused(self.optimizer.load("nobody", step, &[]), "UnknownParam");
            return Ok(());
        };
        let slots = self.twin.groups[entry.group].state();
        let state = entry.state.iter().map(|slice| values(u, slice.len())).collect::<Result<Vec<_>>>()?;
        let mut list: Vec<(&str, &[f32])> =
            slots.iter().copied().zip(state.iter().map(Vec::as_slice)).collect();
        let longer = list.first().map(|(_, values)| [values, &[1.0][..]].concat()).unwrap_or_default();
        let fault = match (u.int_in_range(0..=9)?, list.first().copied()) {
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
            _ => None,
        };
        let found = self.optimizer.load(&entry.name, step, &list);
        match fault {
            Some(fault) => assert_refused(found, fault),
            None => {
                assert_eq!(found, Ok(()));
                (entry.step, entry.state) = (step, state);
            }
        }
        Ok(())
    }

    fn assert_same(&self) {
        for (number, rule) in self.twin.groups.iter().enumerate() {
            assert_eq!(self.optimizer.rule(group_id(number)), Ok(rule));
            let lr = self.optimizer.lr(group_id(number)).ok().map(Value::Number);
            assert_eq!(lr, rule.get("lr"));
        }
        assert_refused(self.optimizer.rule(group_id(self.twin.groups.len())), "UnknownGroup");
        assert_eq!(self.optimizer.save().count(), self.twin.entries.len());
        for (number, (saved, entry)) in self.optimizer.save().zip(&self.twin.entries).enumerate() {
            assert_eq!((saved.name, saved.step), (&entry.name[..], entry.step));
            assert_eq!(self.optimizer.id(saved.name), Ok(param_id(number)));
            let (names, slices): (Vec<&str>, Vec<Vec<u32>>) =
                saved.state.map(|(name, values)| (name, bits(values))).unzip();
            assert_eq!(names, self.twin.groups[entry.group].state());
            let expected: Vec<_> = entry.state.iter().map(|slice| bits(slice)).collect();
            assert_eq!(slices, expected, "state of {}", entry.name);
            assert_eq!(bits(&self.params[number]), bits(&entry.params), "parameters of {}", entry.name);
        }
    }
}

fn assert_same_items(found: &[Item], expected: &[Item]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(bits(&found.params), bits(&expected.params));
        assert_eq!(found.grads.as_deref().map(bits), expected.grads.as_deref().map(bits));
    }
}

/// Whether it refuses gradients that are not finite, and whether it zeroes them, is told beside it.
fn any_pass(u: &mut Unstructured<'_>, global: bool) -> Result<(Pass, bool, bool)> {
    let mut pass = Pass::new();
    let check = *u.choose(&[None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)])?;
    pass = check.map_or(pass, |policy| pass.check(policy));
    pass = pass.loss_scale(number(u)?).unwrap_or(pass);
    pass = match u.int_in_range(0..=2)? {
        0 => pass.clip_tensor_norm(number(u)?).unwrap_or(pass),
        1 if global => pass.clip_global_norm(number(u)?).unwrap_or(pass),
        _ => pass,
    };
    pass = if u.arbitrary()? { pass.flush_subnormals() } else { pass };
    let zeroes = u.arbitrary()?;
    Ok((if zeroes { pass.zero_grads() } else { pass }, check == Some(NonFinite::Refuse), zeroes))
}

impl Item {
    fn param(&mut self) -> Param<'_> {
        Param { id: param_id(self.number), params: &mut self.params, grads: self.grads.as_deref() }
    }

    /// `spare` is state for the one that must not have any.
    fn pass_param<'a>(&'a mut self, spare: &mut Option<&'a mut [f32]>, read_only: bool) -> PassParam<'a> {
        let grads = self.grads.as_mut().expect("a gradient");
        let state = if self.with_state { spare.take() } else { None };
        let params = self.params.as_mut_slice();
        let tensor = if read_only {
            PassTensor::new(params, grads.as_slice(), state)
        } else {
            PassTensor::new(params, grads.as_mut_slice(), state)
        };
        PassParam { id: param_id(self.number), tensor: tensor.expect("few slices") }
    }
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    type Operation = fn(&mut Pair, &mut Unstructured<'_>) -> Result<()>;
    const OPERATIONS: [Operation; 13] = [
        Pair::add_group,
        Pair::register,
        Pair::register,
        Pair::register_many,
        Pair::set_rule,
        Pair::set_lr,
        Pair::step,
        Pair::step,
        Pair::step,
        Pair::step_pass,
        Pair::step_pass,
        Pair::save_and_load,
        Pair::load,
    ];
    let mut pair = Pair::new(any_rule(u)?);
    while !u.is_empty() {
        u.choose(&OPERATIONS)?(&mut pair, u)?;
        pair.assert_same();
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // Where the bytes come to an end, so do the operations.
    let _ = run(&mut Unstructured::new(data));
});

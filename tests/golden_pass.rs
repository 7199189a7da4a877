//! What frameworks do around a step: clipping, loss scaling, averages and constraints, as `tests/golden/passes.py` recorded
//! them from PyTorch, Keras and optax, against a pass that is set up to do the same.
//!
//! A framework's run in `f64` is the truth. Ours, in `f32`, may be no farther from it than the framework's own run in
//! `f32` times [`FACTOR`], or than [`FLOOR`] where that run happens to be nearly exact.

#[path = "golden/record.rs"]
mod record;

use gradstep::{
    Average, Error, LossScaler, Momentum, NonFinite, Pass, PassReport, Rule, Sgd, Tensor, Value, Workers,
};
use record::{Case, Record, Run};
use testkit::ulps;

/// How much farther from the truth than the framework's own `f32` run.
const FACTOR: f64 = 2.0;

/// In units in the last place.
const FLOOR: f64 = 2.0;

/// How many tensors the recorded model has.
const TENSORS: usize = 3;

type Model = [Vec<f32>; TENSORS];

/// What has no counterpart in a pass, or is tested elsewhere.
fn is_left_out(case: &Case) -> bool {
    match (&*case.framework, &*case.what) {
        ("torch", "clip_grad_norm") => number(case, "norm_type") != 2.0,
        // Averages begin with what they are of, and need no correction for a beginning at zero.
        ("optax", "ema") => case.options.contains(&("debias".to_owned(), "true".to_owned())),
        // tests/lookahead.rs
        ("optax", "lookahead") => true,
        _ => false,
    }
}

fn check(record: &Record, case: &Case) -> Result<(), Error> {
    let pass = Pass::new().clip_eps(0.0)?;
    match (&*case.framework, &*case.what) {
        ("torch", "clip_grad_norm") => {
            let pass = Pass::new().clip_global_norm(number(case, "max_norm"))?;
            norms_agree(record, case, &pass);
            clips_agree(record, case, &pass, Rows::None);
        }
        ("torch", "clip_grad_value") => {
            clips_agree(record, case, &pass.clip_value(number(case, "clip_value"))?, Rows::None);
        }
        ("optax", "clip_by_global_norm") => {
            clips_agree(record, case, &pass.clip_global_norm(number(case, "max_norm"))?, Rows::None);
        }
        ("optax", "clip_by_block_rms") => block_rms_agrees(record, case)?,
        ("optax", "adaptive_grad_clip") => {
            let pass = pass.clip_adaptive(number(case, "clipping"), number(case, "eps"))?;
            clips_agree(record, case, &pass, Rows::Second);
        }
        ("optax", "centralize") => clips_agree(record, case, &pass.centralize(), Rows::First),
        ("keras", "clipnorm") => {
            clips_agree(record, case, &pass.clip_tensor_norm(number(case, "clipnorm"))?, Rows::None);
        }
        ("keras", "global_clipnorm") => {
            clips_agree(record, case, &pass.clip_global_norm(number(case, "global_clipnorm"))?, Rows::None);
        }
        ("keras", "clipvalue") => {
            clips_agree(record, case, &pass.clip_value(number(case, "clipvalue"))?, Rows::None);
        }
        ("keras", "max_norm") => max_norm_agrees(record, case, &pass)?,
        ("torch", "amp_update_scale") => scales_agree(case)?,
        ("torch", "grad_scaler") => grad_scaler_agrees(record, case)?,
        ("torch", "averaged_model") => averages_agree(record, case, averaged_model(case)?, None),
        ("optax", "ema") => {
            let zeros = record_params(record).map(|params| vec![0.0; params.len()]);
            averages_agree(record, case, Average::exponential(number(case, "decay"))?, Some(zeros));
        }
        ("optax", "incremental_update") => {
            let average = Average::exponential(1.0 - number(case, "step_size"))?;
            averages_agree(record, case, average, Some(record_params(record)));
        }
        ("keras", "use_ema") => keras_ema_agrees(record, case)?,
        (framework, what) => panic!("{what} of {framework} is recorded and not checked"),
    }
    Ok(())
}

#[test]
fn a_pass_does_what_frameworks_do() {
    let record = Record::read(include_bytes!("golden/passes.txt.gz"));
    let checked = record.cases.iter().filter(|case| !is_left_out(case));
    let checked = checked.inspect(|case| check(&record, case).unwrap()).count();
    assert_eq!((checked, record.cases.len()), (38, 45));
}

fn number(case: &Case, option: &str) -> f64 {
    match case.option(option) {
        Some(Value::Number(number)) => number,
        other => panic!("{}: {option} is {other:?}", case.label()),
    }
}

fn record_params(record: &Record) -> Model {
    std::array::from_fn(|i| record.input(&format!("params.{i}"))[0].clone())
}

/// The gradients of a step, which counts from 1.
fn record_grads(record: &Record, step: usize) -> Model {
    std::array::from_fn(|i| record.input(&format!("grads.{i}"))[step - 1].clone())
}

fn steps(record: &Record) -> usize {
    record.input("grads.0").len()
}

/// How far `found` may be from the framework's result, in units in the last place of what it is compared with.
fn agree(case: &Case, kind: &str, name: &str, found: &[f32]) {
    let [truth, theirs] = ["float64", "float32"].map(|precision| case.run(precision).get(kind, name));
    let worst = |values: &mut dyn Iterator<Item = f64>| {
        values.zip(truth).fold(0.0_f64, |worst, (x, &truth)| worst.max(ulps(x, truth, truth.abs())))
    };
    let ours = worst(&mut found.iter().map(|&x| x.into()));
    let allowed = FLOOR.max(FACTOR * worst(&mut theirs.iter().copied()));
    assert!(ours <= allowed, "{}: {kind} {name} is {ours} off, and {allowed} is allowed", case.label());
    assert_eq!(found.len(), truth.len());
}

/// Which dimension of a matrix counts its units. A vector is all one unit, or none, as the pass has it.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    None,
    First,
    /// For which a matrix must be turned: units are of consecutive elements.
    Second,
}

/// The rows and columns of a tensor, where it has both.
fn shape(record: &Record, tensor: usize) -> Option<(usize, usize)> {
    match record.input(&format!("shape.{tensor}"))[0][..] {
        [rows, columns] => Some((rows as usize, columns as usize)),
        _ => None,
    }
}

fn transposed(values: &[f32], (rows, columns): (usize, usize)) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

impl Rows {
    fn there(self, record: &Record, i: usize, values: &[f32]) -> Vec<f32> {
        match shape(record, i) {
            Some(shape) if self == Self::Second => transposed(values, shape),
            _ => values.to_vec(),
        }
    }

    fn back(self, record: &Record, i: usize, values: &[f32]) -> Vec<f32> {
        match shape(record, i) {
            Some((rows, columns)) if self == Self::Second => transposed(values, (columns, rows)),
            _ => values.to_vec(),
        }
    }

    fn count(self, record: &Record, i: usize) -> Option<usize> {
        shape(record, i).and_then(|(rows, columns)| match self {
            Self::None => None,
            Self::First => Some(rows),
            Self::Second => Some(columns),
        })
    }
}

/// Takes one step of all tensors; `momentum` is a slice each where the rule keeps it.
fn step(
    pass: &Pass,
    rule: &impl Rule,
    params: &mut [Vec<f32>],
    grads: &[Vec<f32>],
    momentum: &mut [Vec<f32>],
    rows: &[Option<usize>],
) -> PassReport {
    let mut momentum = momentum.iter_mut();
    let mut tensors: Vec<_> = (params.iter_mut().zip(grads).zip(rows))
        .map(|((params, grads), rows)| {
            let state = momentum.next().map(Vec::as_mut_slice);
            let tensor = Tensor::new(&mut params[..], &grads[..], state).unwrap();
            rows.iter().fold(tensor, |tensor, &rows| tensor.rows(rows))
        })
        .collect();
    Workers::serial().step_pass(pass, rule, 1, &mut tensors).unwrap()
}

/// The gradients as the rule sees them: the first momentum is the gradient itself.
fn seen(record: &Record, pass: &Pass, grads: &Model, rows: Rows) -> (Model, PassReport) {
    let turn = |model: Model| -> Vec<_> {
        model.iter().enumerate().map(|(i, values)| rows.there(record, i, values)).collect()
    };
    let (mut params, grads) = (turn(record_params(record)), turn(grads.clone()));
    let mut momentum: Vec<_> = params.iter().map(|params| vec![0.0; params.len()]).collect();
    let counts: Vec<_> = (0..TENSORS).map(|i| rows.count(record, i)).collect();
    let report = step(pass, &Momentum::torch(), &mut params, &grads, &mut momentum, &counts);
    (std::array::from_fn(|i| rows.back(record, i, &momentum[i])), report)
}

/// At which steps the case has gradients.
fn clipped_steps(case: &Case) -> Vec<usize> {
    case.run("float64").all("grads.0").iter().map(|(step, _)| step.parse().unwrap()).collect()
}

fn clips_agree(record: &Record, case: &Case, pass: &Pass, rows: Rows) {
    for step in clipped_steps(case) {
        let (grads, _) = seen(record, pass, &record_grads(record, step), rows);
        for (i, grads) in grads.iter().enumerate() {
            agree(case, &format!("grads.{i}"), &step.to_string(), grads);
        }
    }
}

fn norms_agree(record: &Record, case: &Case, pass: &Pass) {
    for step in clipped_steps(case) {
        let (_, report) = seen(record, pass, &record_grads(record, step), Rows::None);
        let truth = case.run("float64").get("total_norm", &step.to_string())[0];
        let norm = report.grad_norm.unwrap();
        assert!((norm - truth).abs() <= 1e-14 * truth, "{}: {norm}, not {truth}", case.label());
    }
}

/// The root of the mean square is the norm by the root of the number of elements: each tensor has a limit of its own.
fn block_rms_agrees(record: &Record, case: &Case) -> Result<(), Error> {
    for step in clipped_steps(case) {
        for i in 0..TENSORS {
            let grads = record_grads(record, step);
            let max = number(case, "threshold") * (grads[i].len() as f64).sqrt();
            let pass = Pass::new().clip_eps(0.0)?.clip_tensor_norm(max)?;
            let (grads, _) = seen(record, &pass, &grads, Rows::None);
            agree(case, &format!("grads.{i}"), &step.to_string(), &grads[i]);
        }
    }
    Ok(())
}

/// Keras adds 1e-7 to the norm that it divides by, also where there is nothing to limit.
fn max_norm_agrees(record: &Record, case: &Case, pass: &Pass) -> Result<(), Error> {
    let pass = pass.max_norm(number(case, "max_value"))?;
    let rows = if number(case, "axis") == 0.0 { Rows::Second } else { Rows::First };
    for (i, params) in record_params(record).iter().enumerate() {
        let count = rows.count(record, i).unwrap_or(1);
        let there = rows.there(record, i, params);
        let mut limited = [there.clone()];
        let grads = [vec![0.0; there.len()]];
        let _ = step(&pass, &Sgd::torch(), &mut limited, &grads, &mut [], &[Some(count)]);
        let kind = format!("params.{i}");
        let truth: Vec<_> = case.run("float64").get(&kind, "1").iter().map(|&x| x as f32).collect();
        let truth = rows.there(record, i, &truth);
        let row_len = there.len() / count;
        for (j, (&found, &truth)) in limited[0].iter().zip(&truth).enumerate() {
            let row = there.chunks(row_len).nth(j / row_len).unwrap();
            let norm = row.iter().map(|&p| f64::from(p) * f64::from(p)).sum::<f64>().sqrt();
            let expected = f64::from(found) * norm / (norm + 1e-7);
            assert!(
                found == truth || ulps(expected, truth.into(), truth.abs().into()) <= FLOOR,
                "{}",
                case.label()
            );
        }
    }
    Ok(())
}

/// The loss scaler of a case.
fn scaler(case: &Case) -> Result<LossScaler, Error> {
    Ok(LossScaler::new()
        .from_scale(number(case, "init_scale"))?
        .growth_factor(number(case, "growth_factor"))?
        .backoff_factor(number(case, "backoff_factor"))?
        .growth_interval(number(case, "growth_interval") as u32))
}

/// To the bit, until PyTorch's scale is 0: ours stays above.
fn scales_agree(case: &Case) -> Result<(), Error> {
    let mut scaler = scaler(case)?;
    let run = case.run("float32");
    let [found, scale, tracker] = ["found_inf", "scale", "growth_tracker"].map(|kind| run.get(kind, "all"));
    for step in 0..found.len() {
        scaler.update(found[step] != 0.0);
        if scale[step] == 0.0 {
            assert_eq!(scaler.scale() as f32, f32::from_bits(1));
            break;
        }
        let state = (scaler.scale(), f64::from(scaler.growth_tracker()));
        assert_eq!(state, (scale[step], tracker[step]), "{}", case.label());
    }
    Ok(())
}

/// The errors of what goes on from step to step.
fn paths_agree(case: &Case, found: &Run, kinds: &[&str]) {
    let (truth, theirs) = (case.run("float64"), case.run("float32"));
    for kind in kinds.iter().flat_map(|kind| (0..TENSORS).map(move |i| format!("{kind}.{i}"))) {
        assert!(!truth.all(&kind).is_empty());
        let (ours, theirs) = (found.error(&kind, truth, &kind), theirs.error(&kind, truth, &kind));
        let allowed = FLOOR.max(FACTOR * theirs);
        assert!(ours <= allowed, "{}: {kind} is {ours} off, and {allowed} is allowed", case.label());
    }
}

fn keep(run: &mut Run, kind: &str, step: usize, model: &[Vec<f32>]) {
    for (i, values) in model.iter().enumerate() {
        let values = values.iter().map(|&x| x.into()).collect();
        run.insert(&format!("{kind}.{i}"), &step.to_string(), values);
    }
}

/// Steps whose gradients are infinite, and which PyTorch leaves out.
const OVERFLOWS: [usize; 3] = [4, 7, 8];

fn grad_scaler_agrees(record: &Record, case: &Case) -> Result<(), Error> {
    let rule = Sgd::torch().lr(number(case, "lr"))?;
    let (mut scaler, mut params, mut found) = (scaler(case)?, record_params(record), Run::default());
    let mut scales = Vec::new();
    for t in 1..=steps(record) {
        let pass = Pass::new().check(NonFinite::Refuse).loss_scale(scaler.scale())?;
        let scale = scaler.scale() as f32;
        let mut grads =
            record_grads(record, t).map(|grads| grads.iter().map(|g| g * scale).collect::<Vec<_>>());
        if OVERFLOWS.contains(&t) {
            grads[1][2 * 3 + 1] = f32::INFINITY;
        } else if clipped_steps(case).contains(&t) {
            let (grads, _) = seen(record, &pass, &grads, Rows::None);
            for (i, grads) in grads.iter().enumerate() {
                agree(case, &format!("grads.{i}"), &t.to_string(), grads);
            }
        }
        let report = step(&pass, &rule, &mut params, &grads, &mut [], &[None; TENSORS]);
        assert_eq!(report.refused, OVERFLOWS.contains(&t));
        scaler.update(report.refused);
        scales.push(scaler.scale());
        keep(&mut found, "params", t, &params);
    }
    paths_agree(case, &found, &["params"]);
    assert_eq!(scales, case.run("float32").get("scale", "all"));
    Ok(())
}

fn averaged_model(case: &Case) -> Result<Average, Error> {
    match case.option("form") {
        Some(Value::Choice("mean")) => Ok(Average::mean()),
        _ => Average::exponential(number(case, "decay")),
    }
}

/// Steps a model whose tensors have averages.
fn step_with_averages(
    pass: &Pass,
    rule: &Sgd,
    t: usize,
    params: &mut [Vec<f32>],
    grads: &[Vec<f32>],
    averages: &mut [Vec<f32>],
) {
    // Each step so far went into the averages.
    let mut averaged = vec![t as u64 - 1; params.len()];
    let mut tensors: Vec<_> = (params.iter_mut().zip(grads).zip(averages.iter_mut().zip(&mut averaged)))
        .map(|((params, grads), (average, averaged))| {
            Tensor::new(&mut params[..], &grads[..], []).unwrap().average(average, averaged)
        })
        .collect();
    let _ = Workers::serial().step_pass(pass, rule, t as u64, &mut tensors).unwrap();
}

/// Of weights that are the recorded gradients, one after the other, after `first` where there is one.
fn averages_agree(record: &Record, case: &Case, average: Average, first: Option<Model>) {
    let (pass, rule) = (Pass::new().average(average), Sgd::torch().lr(0.0).unwrap());
    let mut averages = record_params(record).map(|params| vec![f32::NAN; params.len()]);
    let zeros = record_params(record).map(|params| vec![0.0; params.len()]);
    let before = usize::from(first.is_some());
    let weights = (1..=steps(record)).map(|step| record_grads(record, step));
    let mut found = Run::default();
    for (t, mut weights) in first.into_iter().chain(weights).enumerate() {
        step_with_averages(&pass, &rule, t + 1, &mut weights, &zeros, &mut averages);
        keep(&mut found, "average", t + 1 - before, &averages);
    }
    paths_agree(case, &found, &["average"]);
}

fn keras_ema_agrees(record: &Record, case: &Case) -> Result<(), Error> {
    let rule = Sgd::torch().lr(number(case, "lr"))?;
    let frequency =
        case.option("ema_overwrite_frequency").map_or(0.0, |_| number(case, "ema_overwrite_frequency"));
    let average = Average::exponential(number(case, "ema_momentum"))?.overwrite_every(frequency as u64);
    let pass = Pass::new().average(average);
    let (mut params, mut found) = (record_params(record), Run::default());
    let mut averages = params.clone();
    for t in 1..=steps(record) {
        step_with_averages(&pass, &rule, t, &mut params, &record_grads(record, t), &mut averages);
        keep(&mut found, "params", t, &params);
        keep(&mut found, "average", t, &averages);
    }
    paths_agree(case, &found, &["params", "average"]);
    Ok(())
}

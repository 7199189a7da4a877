//! A model that is cut into shards, each stepped by itself, gives the bits of the whole.

use gradstep::{GradSums, PassReport, Telemetry, Tensor, Workers};
use proptest::prelude::*;
use testkit::Random;

use crate::{
    cases::{Case, elementwise_rule, shown},
    model::{Owned, Padded, assert_same, with_tensors},
    parts::{Clip, Parts},
};

/// Of several blocks, with rows that shards can begin at, and all with telemetry.
fn any_case(random: &mut Random) -> Case {
    let rule = elementwise_rule(random);
    let mut case = Case::of(Parts::random(random), rule, random, |random| random.below(40_000));
    let needs_rows = matches!(case.parts.clip, Clip::Adaptive(..));
    for tensor in &mut case.model {
        let row_len = [2, 96, 512, 4096, 8192][random.below(5)];
        let by_rows = needs_rows || random.below(2) == 0;
        if by_rows {
            let len = tensor.len().next_multiple_of(row_len);
            *tensor = Owned::random(&case.parts, &case.rule, len, random);
        }
        tensor.rows = by_rows.then_some(tensor.len() / row_len).filter(|rows| *rows > 0);
        tensor.rows = tensor.rows.or(needs_rows.then_some(1));
        tensor.told = Some(Telemetry::default());
    }
    case.honoured().started()
}

/// Where the shards of a tensor end: at blocks and rows, some perhaps at the same place.
fn cuts(tensor: &Owned, shards: usize, random: &mut Random) -> Vec<usize> {
    let row_len = tensor.row_len().unwrap_or(1);
    let granule = (1..).map(|n| n * 4096).find(|n: &usize| n.is_multiple_of(row_len)).unwrap();
    let mut cuts: Vec<_> = (1..shards).map(|_| granule * random.below(tensor.len() / granule + 1)).collect();
    cuts.sort_unstable();
    cuts.push(tensor.len());
    cuts
}

/// One shard of each tensor after the other, then the next ones.
fn cut(model: &[Owned], shards: usize, random: &mut Random) -> Vec<Owned> {
    let ends: Vec<_> = model.iter().map(|tensor| cuts(tensor, shards, random)).collect();
    let start = |i: usize, shard: usize| if shard == 0 { 0 } else { ends[i][shard - 1] };
    (0..shards)
        .flat_map(|shard| (0..model.len()).map(move |i| (i, shard)))
        .map(|(i, shard)| model[i].shard(start(i, shard)..ends[i][shard]))
        .collect()
}

/// Puts the shards behind each other again.
fn joined(shards: &[Owned], tensors: usize) -> Vec<Owned> {
    (0..tensors).map(|i| shards.iter().skip(i).step_by(tensors).cloned().reduce(append).unwrap()).collect()
}

fn append(mut first: Owned, later: Owned) -> Owned {
    let single = |a: &Padded<f32>, b: &Padded<f32>| Padded::new(&[&a[..], &b[..]].concat(), 0);
    first.params = first.params.followed_by(&later.params);
    first.grads = first.grads.followed_by(&later.grads);
    first.state = first.state.iter().zip(&later.state).map(|(a, b)| single(a, b)).collect();
    first.average = first.average.zip(later.average).map(|(a, b)| single(&a, &b));
    first.copy = first.copy.zip(later.copy).map(|(a, b)| a.followed_by(&b));
    first.told = first.told.zip(later.told).map(|(mut told, later)| {
        told.merge(&later);
        told
    });
    first
}

/// All shards of all tensors, of which `tensors` at a time belong to one process.
fn step_shards(case: &Case, shards: &mut [Owned], tensors: usize) -> Vec<PassReport> {
    let (pass, workers) = (case.parts.pass(), Workers::rayon().serial_below(0));
    with_tensors(shards, |mut shards| {
        for process in shards.chunks_mut(tensors) {
            workers.measure_pass(&pass, &case.rule, case.step, process).unwrap();
        }
        let sums: Vec<_> = (0..tensors).map(|i| merged(shards.iter().skip(i).step_by(tensors))).collect();
        let mut reports = Vec::new();
        for process in shards.chunks_mut(tensors) {
            process.iter_mut().zip(&sums).for_each(|(shard, sums)| shard.set_sums(*sums));
            reports.push(workers.finish_pass(&pass, &case.rule, case.step, process, &sums).unwrap());
        }
        reports
    })
}

fn merged<'s>(shards: impl Iterator<Item = &'s Tensor<'s>>) -> GradSums {
    shards.fold(GradSums::default(), |mut all, shard| {
        all.merge(&shard.sums());
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_have_the_bits_of_the_whole(seed: u64, poisoned: bool) {
        let mut random = Random(seed);
        let mut case = any_case(&mut random);
        if poisoned {
            case.poison(&mut random);
        }
        let mut whole = case.model.clone();
        let (report, skipped) = case.run(&Workers::serial(), &mut whole, |report, tensors| {
            (*report, tensors.iter().filter(|tensor| tensor.skipped()).count())
        });
        for shards in [1, 2, 3, 8] {
            let mut cut = cut(&case.model, shards, &mut random);
            let reports = step_shards(&case, &mut cut, whole.len());
            let joined = joined(&cut, whole.len());
            assert_same(&joined, &whole, || format!("{shards} shards: {}", case.label()));
            for (joined, whole) in joined.iter().zip(&whole) {
                prop_assert_eq!(joined.told, whole.told, "{} shards: {}", shards, case.label());
            }
            for of_shard in &reports {
                prop_assert_eq!(shown(&PassReport { elements: report.elements, ..*of_shard }), shown(&report));
                prop_assert_eq!(of_shard.skipped, skipped);
            }
            prop_assert_eq!(reports.iter().map(|report| report.elements).sum::<usize>(), report.elements);
        }
    }
}

//! A loss scaler works for ever, or the setting is refused; and it comes back from a checkpoint as it was.

use gradstep::{Domain, Error, LossScaler, Pass};
use proptest::prelude::*;
use testkit::Random;

const INTERESTING: [f64; 34] = [
    0.0,
    -0.0,
    -1.0,
    -1e-300,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    5e-324,
    1e-300,
    1e-50,
    1e-45,
    1.4e-45,
    1e-40,
    1e-38,
    1e-8,
    0.3,
    0.5,
    0.999_999,
    1.0 - 1e-9,
    1.0 - f64::EPSILON,
    1.0,
    1.0 + f64::EPSILON,
    1.0 + 1e-9,
    1.000_001,
    1.1,
    2.0,
    65536.0,
    1e30,
    1.7e38,
    3.4e38,
    3.402_823_466_385_288_6e38,
    3.5e38,
    1e39,
    f64::MAX,
];

/// A number and, as the documentation has it, whether it is in the domain as an `f32` too.
fn is_taken(x: f64, domain: fn(f64) -> bool) -> bool {
    domain(x) && domain(f64::from(x as f32))
}

fn above_zero(x: f64) -> bool {
    x > 0.0 && x < f64::INFINITY
}

fn above_one(x: f64) -> bool {
    x > 1.0 && x < f64::INFINITY
}

fn below_one(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

/// A setter, its name, and which numbers it takes.
type Setting = (&'static str, fn(LossScaler, f64) -> Result<LossScaler, Error>, fn(f64) -> bool);

const SETTINGS: [Setting; 3] = [
    ("scale", LossScaler::from_scale, above_zero),
    ("growth_factor", LossScaler::growth_factor, above_one),
    ("backoff_factor", LossScaler::backoff_factor, below_one),
];

#[test]
fn numbers_outside_their_domain_are_refused() {
    for (name, set, domain) in SETTINGS {
        for x in INTERESTING {
            match set(LossScaler::new(), x) {
                Ok(_) => assert!(is_taken(x, domain), "{name} takes {x:e}"),
                Err(Error::OutOfRange { rule, option, value, .. }) => {
                    assert!(!is_taken(x, domain), "{name} refuses {x:e}");
                    assert_eq!((rule, option, value.to_bits()), ("loss_scaler", name, x.to_bits()));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_refusal_says_what_would_have_been_taken() {
    let new = LossScaler::new();
    let says = |refused: Result<LossScaler, Error>| refused.unwrap_err().to_string();
    assert_eq!(
        says(new.growth_factor(0.5)),
        "loss_scaler: growth_factor must be finite and above 1, and is 0.5"
    );
    assert_eq!(
        says(new.backoff_factor(2.0)),
        "loss_scaler: backoff_factor must be 0 or above and below 1, and is 2"
    );
    assert_eq!(
        says(new.from_scale(1e39)),
        "loss_scaler: scale must be finite and above 0, and 1e39 is inf in f32"
    );
    assert_eq!(
        new.growth_factor(1.0 + 1e-9),
        Err(Error::OutOfRange {
            rule: "loss_scaler",
            option: "growth_factor",
            value: 1.0 + 1e-9,
            domain: Domain::AboveOne,
        })
    );
}

/// The same in the arithmetic of PyTorch's `_amp_update_scale_`, but that nothing is lost at either end of `f32`.
struct Twin {
    scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u32,
    tracker: u64,
}

impl Twin {
    fn update(&mut self, found_non_finite: bool) {
        let rounded = |x: f64| f64::from(x as f32);
        self.tracker = if found_non_finite { 0 } else { self.tracker + 1 };
        if found_non_finite {
            let lower = rounded(self.scale * self.backoff_factor);
            let least = f64::from(f32::from_bits(1));
            // It falls, or else it is at the bottom.
            let next = f64::from((self.scale as f32).next_down()).max(least);
            self.scale = if lower < self.scale { lower.max(least) } else { next };
        } else if self.growth_interval > 0 && self.tracker >= self.growth_interval.into() {
            let higher = rounded(self.scale * self.growth_factor);
            let next = f64::from((self.scale as f32).next_up());
            let grown = if higher > self.scale { higher } else { next };
            self.scale = if grown < f64::INFINITY { grown } else { self.scale };
            self.tracker = 0;
        }
    }
}

/// From all magnitudes, in what each setter takes.
fn any_scaler(random: &mut Random) -> (LossScaler, Twin) {
    let any = |random: &mut Random, domain: fn(f64) -> bool| loop {
        let x = match random.below(3) {
            0 => INTERESTING[random.below(INTERESTING.len())],
            1 => random.unit() * 4.0,
            _ => 2.0_f64.powi(random.below(280) as i32 - 150) * (1.0 + random.unit()),
        };
        if is_taken(x, domain) {
            return x;
        }
    };
    let growth_interval = [0, 1, 2, 3, 50, 2000, u32::MAX][random.below(7)];
    let tracker = [0, 0, 1, 2, 49, 1999, 2000, 100_000, u32::MAX][random.below(9)];
    let twin = Twin {
        scale: any(random, above_zero),
        growth_factor: any(random, above_one),
        backoff_factor: any(random, below_one),
        growth_interval,
        tracker: tracker.into(),
    };
    let scaler = LossScaler::new().from_scale(twin.scale).unwrap().growth_factor(twin.growth_factor).unwrap();
    let scaler = scaler.backoff_factor(twin.backoff_factor).unwrap();
    (scaler.growth_interval(growth_interval).from_tracker(tracker), twin)
}

/// With the settings of another scaler, and the state that a checkpoint has.
fn restored(settings: LossScaler, saved: &LossScaler) -> LossScaler {
    settings.from_scale(saved.scale()).unwrap().from_tracker(saved.growth_tracker())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scaler_works_for_ever(seed: u64) {
        let random = &mut Random(seed);
        let (mut scaler, mut twin) = any_scaler(random);
        let settings = scaler;
        let mut bad = 0.0;
        for t in 0..2000 {
            if t % 250 == 0 {
                bad = [0.0, 1.0, 0.5, 0.01][random.below(4)];
            }
            let before = scaler.scale();
            let found = random.unit() < bad;
            scaler.update(found);
            twin.update(found);
            prop_assert_eq!(scaler.scale(), twin.scale);
            prop_assert_eq!(u64::from(scaler.growth_tracker()), twin.tracker.min(u32::MAX.into()));
            prop_assert!(scaler.scale() > 0.0 && scaler.scale() <= f64::from(f32::MAX));
            prop_assert!(Pass::new().loss_scale(scaler.scale()).is_ok());
            if found {
                prop_assert!(scaler.scale() < before || before <= f64::from(f32::from_bits(1)));
            }
            prop_assert_eq!(restored(settings, &scaler), scaler);
        }
    }
}

/// What comes back from a checkpoint goes on as the unbroken run.
#[test]
fn a_restored_scaler_takes_the_same_steps() {
    for seed in 0..50 {
        let random = &mut Random(seed);
        let (mut through, _) = any_scaler(random);
        let settings = through;
        for _ in 0..500 {
            let mut resumed = restored(settings, &through);
            let found = random.below(20) == 0;
            through.update(found);
            resumed.update(found);
            assert_eq!(resumed, through);
        }
    }
}

#[test]
fn scales_grow_and_shrink() {
    let mut scaler = LossScaler::new().from_scale(8.0).unwrap().growth_interval(2);
    let mut scales = |found: &[bool]| -> Vec<f64> {
        let mut update = |&found: &bool| {
            scaler.update(found);
            scaler.scale()
        };
        found.iter().map(&mut update).collect()
    };
    assert_eq!(scales(&[false, false, false, true, false]), [8.0, 16.0, 16.0, 8.0, 8.0]);
    assert_eq!(scales(&[false, true, true]), [16.0, 8.0, 4.0]);
    let never = LossScaler::new().growth_interval(0);
    let mut scaler = never;
    (0..5000).for_each(|_| scaler.update(false));
    assert_eq!((scaler.scale(), scaler.growth_tracker()), (65536.0, 5000));
}

#[test]
fn scales_stay_within_f32() {
    let mut scaler = LossScaler::default().growth_interval(1);
    (0..200).for_each(|_| scaler.update(false));
    assert_eq!(scaler.scale(), 2.0_f64.powi(127));
    assert!(Pass::new().loss_scale(scaler.scale()).is_ok());
    (0..500).for_each(|_| scaler.update(true));
    assert_eq!(scaler.scale() as f32, f32::from_bits(1));
    assert!(Pass::new().loss_scale(scaler.scale()).is_ok());
    (0..10).for_each(|_| scaler.update(false));
    assert_eq!(scaler.scale(), 2.0_f64.powi(-139));
}

/// A smaller interval than that of the run so far, or a tracker from elsewhere.
#[test]
fn a_tracker_beyond_the_interval_grows_at_the_next_good_step() {
    for tracker in [1999, 2000, 5000, u32::MAX] {
        let mut scaler = LossScaler::new().from_tracker(tracker);
        scaler.update(false);
        assert_eq!((scaler.scale(), scaler.growth_tracker()), (131_072.0, 0), "from {tracker}");
    }
}

/// Where a factor near 1 is lost in the rounding of the few digits of a subnormal scale.
#[test]
fn a_scale_that_rounding_would_hold_moves_on() {
    let least = f64::from(f32::from_bits(1));
    let scaler = LossScaler::new().from_scale(least).unwrap().growth_factor(1.1).unwrap();
    let mut scaler = scaler.backoff_factor(0.9).unwrap().growth_interval(1);
    let mut scales = |found: bool| {
        scaler.update(found);
        scaler.scale() / least
    };
    assert_eq!([false; 4].map(&mut scales), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!([true; 6].map(&mut scales), [4.0, 3.0, 2.0, 1.0, 1.0, 1.0]);
}

//! What `tests/golden/record.py` wrote: the frameworks' own numbers. Its head describes the form. A test that has this
//! module has `ulps` too.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::{collections::BTreeMap, fmt::Debug, io::Read as _, str::FromStr};

use flate2::read::GzDecoder;
use gradstep::Value;
use testkit::ulps;

/// A recorded file.
#[derive(Default)]
pub struct Record {
    inputs: BTreeMap<String, Vec<Vec<f32>>>,
    pub cases: Vec<Case>,
}

/// What one framework gave under one set of options.
#[derive(Default)]
pub struct Case {
    pub framework: String,
    /// The rule, or the framework's function.
    pub what: String,
    pub options: Vec<(String, String)>,
    runs: BTreeMap<String, Run>,
}

/// A run in one precision: by their kind, values and the names they have there, in the order of the file.
#[derive(Default)]
pub struct Run(BTreeMap<String, Vec<(String, Vec<f64>)>>);

impl Record {
    pub fn read(packed: &[u8]) -> Self {
        let mut text = String::new();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        let mut record = Self::default();
        for line in text.lines() {
            record.line(line);
        }
        record
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["versions", ..] => {}
            ["case", framework, what, ref options @ ..] => self.cases.push(Case {
                framework: framework.to_owned(),
                what: what.to_owned(),
                options: options.iter().map(|option| pair(option)).collect(),
                runs: BTreeMap::new(),
            }),
            [precision @ ("float64" | "float32"), kind, name, ref values @ ..] => {
                let runs = &mut self.cases.last_mut().expect("a case before its runs").runs;
                runs.entry(precision.to_owned()).or_default().insert(kind, name, numbers(values));
            }
            [input, ref values @ ..] => {
                self.inputs.entry(input.to_owned()).or_default().push(numbers(values));
            }
            [] => {}
        }
    }

    /// An input's values, for each step where there are several.
    pub fn input(&self, name: &str) -> &[Vec<f32>] {
        self.inputs.get(name).unwrap_or_else(|| panic!("no input {name} in the recorded file"))
    }
}

fn numbers<T: FromStr<Err: Debug>>(words: &[&str]) -> Vec<T> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap();
    (name.to_owned(), value.to_owned())
}

impl Case {
    pub fn label(&self) -> String {
        format!("{} {} {:?}", self.framework, self.what, self.options)
    }

    /// One option, where the case has it.
    pub fn option(&self, name: &str) -> Option<Value<'_>> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| Value::parse(value))
    }

    /// The framework's run in "float64" or "float32".
    pub fn run(&self, precision: &str) -> &Run {
        self.runs.get(precision).unwrap_or_else(|| panic!("{}: no run in {precision}", self.label()))
    }
}

impl Run {
    pub fn insert(&mut self, kind: &str, name: &str, values: Vec<f64>) {
        self.0.entry(kind.to_owned()).or_default().push((name.to_owned(), values));
    }

    /// All values of a kind; none where there are no such.
    pub fn all(&self, kind: &str) -> &[(String, Vec<f64>)] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }

    pub fn get(&self, kind: &str, name: &str) -> &[f64] {
        let found = self.all(kind).iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no {kind} {name} in the run"), |(_, values)| values)
    }

    /// The worst error of a kind's values, which go on from name to name, in units in the last place of the largest
    /// magnitude that a value has had. `truth` may call the kind something else.
    pub fn error(&self, kind: &str, truth: &Self, true_kind: &str) -> f64 {
        let mut worst = 0f64;
        let mut largest = vec![];
        for (name, values) in truth.all(true_kind) {
            largest.resize(values.len(), 0f64);
            for ((found, truth), largest) in self.get(kind, name).iter().zip(values).zip(&mut largest) {
                *largest = largest.max(truth.abs());
                worst = worst.max(ulps(*found, *truth, *largest));
            }
        }
        worst
    }

    /// The names of a kind, sorted.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        let mut names: Vec<_> = self.all(kind).iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

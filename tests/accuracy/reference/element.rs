//! What is done around every rule, to one element: the sign of the gradient, decay, L1, caution.

use gradstep::{AnyRule, Rule};

use super::{Options, sign};

/// One parameter, and the options that all rules have.
pub struct Element {
    pub p: f64,
    options: Options,
    lr: f64,
    maximize: bool,
    weight_decay: f64,
    decay: &'static str,
    l1: f64,
    l1_form: &'static str,
    cautious: bool,
    cautious_decay: bool,
    reads_parameter: bool,
    /// The largest magnitudes so far, of the parameter and of the rule's change.
    largest: f64,
    largest_change: f64,
}

impl Element {
    pub fn new(rule: &AnyRule, p: f64) -> Self {
        let o = Options::of(rule);
        Self {
            p,
            lr: o.number("lr"),
            maximize: o.flag("maximize"),
            weight_decay: o.number("weight_decay"),
            decay: o.word("decay"),
            l1: o.number("l1"),
            l1_form: o.word("l1_form"),
            cautious: o.flag("cautious"),
            cautious_decay: o.flag("cautious_decay"),
            reads_parameter: matches!(
                rule.name(),
                "asgd" | "ftrl" | "madgrad" | "schedulefree_sgd" | "schedulefree_adamw"
            ),
            options: o,
            largest: p.abs(),
            largest_change: 0.0,
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn reads_parameter(&self) -> bool {
        self.reads_parameter
    }

    /// The gradient that the rule sees, and its sign.
    pub fn gradient(&self, g: f64) -> (f64, f64) {
        let given = if self.maximize { -g } else { g };
        let decay = if self.decay == "coupled" { self.weight_decay } else { 0.0 };
        let l1 = if self.l1_form == "subgradient" { self.l1 } else { 0.0 };
        let mut g = given + decay * self.p;
        if l1 != 0.0 {
            g += l1 * self.options.sign(self.p, self.largest);
        }
        let size = given.abs() + decay * self.largest + l1;
        if g != given && g.abs() < 0.01 * size {
            self.options.doubtful.set(true);
        }
        (g, self.options.sign(g, size))
    }

    /// The parameter that the rule sees: decay comes first.
    pub fn seen(&self) -> f64 {
        let part = match self.decay {
            _ if self.cautious_decay => 0.0,
            "decoupled" => self.lr * self.weight_decay,
            "fixed" => self.weight_decay,
            _ => 0.0,
        };
        self.p - part * self.p
    }

    /// Takes the rule's change from the parameter, and all that comes with it. `direction` is the gradient's sign.
    pub fn take(&mut self, change: f64, direction: f64) {
        self.largest_change = self.largest_change.max(change.abs());
        let against = self.cautious && sign(change) * direction <= 0.0;
        self.p = self.decayed(if against { 0.0 } else { change });
        if self.l1_form == "proximal" {
            self.p = sign(self.p) * (self.p.abs() - self.lr * self.l1).max(0.0);
        }
        self.largest = self.largest.max(self.p.abs());
    }

    /// The parameter after the change and weight decay.
    fn decayed(&self, change: f64) -> f64 {
        let (lr, decay, old, new) = (self.lr, self.weight_decay, self.p, self.p - change);
        if matches!(self.decay, "coupled" | "update")
            || decay == 0.0
            || self.cautious_decay && !self.towards_zero(change)
        {
            return new;
        }
        match self.decay {
            "decoupled" => new - lr * decay * old,
            "decoupled-after" => new - lr * decay * new,
            "fixed" => new - decay * old,
            "fixed-after" => new - decay * new,
            "proximal" => new / (1.0 + lr * decay),
            other => panic!("no reference for decay {other}"),
        }
    }

    fn towards_zero(&self, change: f64) -> bool {
        // Where `f32` takes the new parameter from the old, the error is of the parameter's size.
        let parameter = if self.reads_parameter { 0.1 * self.largest } else { 0.0 };
        self.options.sign(change, self.largest_change + parameter) * sign(self.p) > 0.0
    }
}

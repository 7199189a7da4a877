//! Cutting tensors into ranges, for threads to share.

use crate::{
    formats::floats::{Floats, FloatsMut, Grads},
    numbers::blocks::BLOCK,
    pass::tensor::{PassTensor, View},
    threads::queue::{Range, Share},
};

impl Share for PassTensor<'_> {
    type Range<'r>
        = View<'r>
    where
        Self: 'r;

    fn range(&mut self) -> View<'_> {
        self.view()
    }

    /// About: with the gradient both ways, and without what is rare.
    fn bytes(&self) -> usize {
        self.len().saturating_mul(bytes_per_element(self.slots))
    }
}

fn bytes_per_element(slots: usize) -> usize {
    size_of::<f32>() * (4 + 2 * slots)
}

impl Range for View<'_> {
    fn len(&self) -> usize {
        self.params.len()
    }

    fn bytes_per_element(&self) -> usize {
        bytes_per_element(self.slots)
    }

    fn granule(&self) -> usize {
        match self.row_len {
            _ if self.plan.in_one => usize::MAX,
            0 => BLOCK,
            row_len => least_common_multiple(row_len, BLOCK),
        }
    }

    fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { row_len, slots, start, more_grads, telemetry, sums, plan, .. } = self;
        let (params, later_params) = self.params.split_at(mid);
        let (grads, later_grads) = self.grads.split_at(mid);
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid.min(slice.len())));
        let state = halves.each_mut().map(|(first, _)| core::mem::take(first));
        let later_state = halves.map(|(_, rest)| rest);
        let (average, later_average) = self.average.map(|average| average.split_at_mut(mid)).unzip();
        let (copy, later_copy) = self.copy.map(|copy| copy.split_at(mid)).unzip();
        let first = View {
            params,
            grads,
            more_grads,
            state,
            average,
            copy,
            start,
            row_len,
            slots,
            telemetry,
            sums,
            plan,
        };
        let later = View {
            params: later_params,
            grads: later_grads,
            more_grads,
            state: later_state,
            average: later_average,
            copy: later_copy,
            start: start + mid,
            row_len,
            slots,
            telemetry,
            sums,
            plan,
        };
        (first, later)
    }
}

/// `usize::MAX` where there is none that fits.
fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

impl Floats<'_> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::F32(floats) => {
                let (first, rest) = floats.split_at(mid);
                (Self::F32(first), Self::F32(rest))
            }
            Self::Half(format, bits) => {
                let (first, rest) = bits.split_at(mid);
                (Self::Half(format, first), Self::Half(format, rest))
            }
        }
    }
}

impl<'a> FloatsMut<'a> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::F32(floats) => {
                let (first, rest) = floats.split_at_mut(mid);
                (Self::F32(first), Self::F32(rest))
            }
            Self::Half(format, bits) => {
                let (first, rest) = bits.split_at_mut(mid);
                (Self::Half(format, first), Self::Half(format, rest))
            }
        }
    }
}

impl<'a> Grads<'a> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::Read(floats) => {
                let (first, rest) = floats.split_at(mid);
                (Self::Read(first), Self::Read(rest))
            }
            Self::Write(floats) => {
                let (first, rest) = floats.split_at(mid);
                (Self::Write(first), Self::Write(rest))
            }
        }
    }
}

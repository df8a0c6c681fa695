//! The queue of injected faults, which wait for their requests.

use std::collections::VecDeque;

use crate::conditions::Target;
use crate::fault::Fault;

#[derive(Debug, Default)]
pub(crate) struct FaultQueue {
    waiting: VecDeque<Waiting>,
    cleared: usize,
}

#[derive(Debug)]
struct Waiting {
    fault: Fault,
    /// For how many more requests; nothing for all of them.
    left: Option<usize>,
}

/// A fault for one request.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) fault: Fault,
    /// How often the queue had been cleared when the fault was taken: a black hole ends when that
    /// changes.
    pub(crate) cleared: usize,
}

impl FaultQueue {
    pub(crate) fn inject(&mut self, fault: Fault) {
        let left = Some(fault.times);
        self.waiting.push_back(Waiting { fault, left });
    }

    pub(crate) fn inject_always(&mut self, fault: Fault) {
        self.waiting.push_back(Waiting { fault, left: None });
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.cleared += 1;
    }

    pub(crate) fn cleared(&self) -> usize {
        self.cleared
    }

    /// The first fault that fits. Without a body, nothing is taken if the first that may fit has to
    /// see the body.
    pub(crate) fn take(&mut self, target: Target<'_>) -> Option<Taken> {
        self.waiting.retain(|waiting| waiting.left != Some(0));
        let may_fit = |waiting: &Waiting| waiting.fault.conditions.may_fit(target);
        let index = self.waiting.iter().position(may_fit)?;
        let waiting = &mut self.waiting[index];
        if waiting.fault.conditions.need_body(target) {
            return None;
        }
        waiting.left = waiting.left.map(|left| left - 1);
        Some(Taken { fault: waiting.fault.clone(), cleared: self.cleared })
    }
}

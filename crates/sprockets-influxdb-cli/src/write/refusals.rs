//! The first lines that the server rejected, for the report.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sprockets_influxdb::Rejected;

use crate::format::excerpt;

const MAX_SHOWN: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Vec<Refusal>>);

#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    database: String,
    line: String,
    reason: String,
}

impl Refusals {
    pub(crate) fn add(&self, rejected: &Rejected<'_>) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.len() < MAX_SHOWN {
            first.push(Refusal {
                database: rejected.database().to_owned(),
                line: rejected.line().to_owned(),
                reason: rejected.reason().to_owned(),
            });
        }
    }

    pub(crate) fn first(&self) -> Vec<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Refusal {
    pub(crate) fn text(&self) -> String {
        format!("{}: {:?}", self.reason, excerpt(&self.line))
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "database": self.database, "line": self.line, "reason": self.reason })
    }
}

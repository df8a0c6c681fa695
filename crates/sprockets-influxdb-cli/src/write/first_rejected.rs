//! The first lines that the server rejected, for the report.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sprockets_influxdb::Rejected;

use crate::format::excerpt;

const MAX_SHOWN: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct FirstRejected(Mutex<Vec<RejectedLine>>);

#[derive(Clone, Debug)]
pub(crate) struct RejectedLine {
    database: String,
    line: String,
    reason: String,
}

impl FirstRejected {
    pub(crate) fn add(&self, rejected: &Rejected<'_>) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.len() < MAX_SHOWN {
            first.push(RejectedLine {
                database: rejected.database().to_owned(),
                line: rejected.line().to_owned(),
                reason: rejected.reason().to_owned(),
            });
        }
    }

    pub(crate) fn first(&self) -> Vec<RejectedLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RejectedLine {
    pub(crate) fn text(&self) -> String {
        format!("{}: {:?}", self.reason, excerpt(&self.line))
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "database": self.database, "line": self.line, "reason": self.reason })
    }
}

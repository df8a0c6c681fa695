//! Every parser reads what was recorded, whatever the text.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use sprockets_influxdb::testing::{self, Point};
use sprockets_influxdb::{Measurement, fuzzing};
use test_support::sample::Sample;

use crate::hostile;

/// Several measurements of one client.
#[derive(Debug)]
pub struct Recorded {
    base_tags: Vec<(String, String)>,
    samples: Vec<Sample>,
}

impl<'a> Arbitrary<'a> for Recorded {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let base_tags = hostile::tags(u)?;
        Ok(Self { base_tags, samples: (0..3).map(|_| hostile::sample(u)).collect::<Result<_>>()? })
    }
}

impl Recorded {
    pub fn check(&self) {
        let mut reused = Measurement::new("db", "first");
        let mut batch = Vec::new();
        let mut lines = Vec::new();
        for sample in &self.samples {
            check_alone(sample);

            reused.restart("db", &sample.name);
            sample.set(&mut reused);
            let Some(line) = fuzzing::line(&reused, &self.base_tags) else {
                assert!(is_refused(sample), "{reused:?}");
                continue;
            };
            assert!(!is_refused(sample), "{reused:?}");
            let start = batch.len();
            batch.extend_from_slice(&line);
            lines.push(start..batch.len() - 1);
            let line = std::str::from_utf8(&line).expect("UTF-8");
            sample.assert_is_read(line, &self.with_base_tags(sample));
        }
        let lines: Vec<_> = lines.into_iter().map(|line| &batch[line]).collect();
        assert_eq!(fuzzing::lines(&batch), lines);
    }

    fn with_base_tags(&self, sample: &Sample) -> BTreeMap<String, String> {
        let base_tags = self.base_tags.iter().filter(|(_, value)| !value.is_empty()).cloned();
        let base = Sample { tags: base_tags.collect(), ..sample.clone() };
        let mut tags = base.expected_tags();
        let fields = sample.expected_fields();
        tags.retain(|name, _| !fields.contains_key(name));
        tags.extend(sample.expected_tags());
        tags
    }
}

/// Checks a new measurement without base tags, also with the scripted server's parser.
fn check_alone(sample: &Sample) {
    let measurement = sample.measurement("db");
    assert_eq!(measurement.is_empty(), sample.expected_fields().is_empty(), "{measurement:?}");
    if is_refused(sample) {
        return;
    }
    let line = measurement.marshall();
    let tags = sample.expected_tags();
    sample.assert_is_read(&line, &tags);
    match testing::parse(&line).as_deref() {
        Ok([Point { measurement, tags: found, fields, .. }]) => {
            assert_eq!(*measurement, sample.expected_name());
            assert_eq!(*found, tags.into_iter().collect::<Vec<_>>());
            assert_eq!(fields.len(), sample.expected_fields().len());
        }
        Ok(points) => panic!("{points:?} from {line:?}"),
        Err(error) => panic!("{error} in {line:?}"),
    }
}

/// Whether there is nothing to store, or no server can store it.
fn is_refused(sample: &Sample) -> bool {
    let is_storable = |time: i64| (i64::MIN + 2..i64::MAX).contains(&time);
    let (tags, fields) = (sample.expected_tags(), sample.expected_fields());
    sample.name.is_empty()
        || fields.keys().any(|name| tags.contains_key(name))
        || fields.is_empty()
        || !sample.timestamp.is_none_or(is_storable)
}

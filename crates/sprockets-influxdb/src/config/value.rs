//! The typed value of a setting, as programs and people see it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::enums::{Api, Overflow, Precision, SpoolSync};
use super::mask::{MASK, Secret};
use super::tags::Tags;
use super::url::{Scheme, WriteUrl};

/// The value of a [`Setting`](crate::Setting).
///
/// `Display` writes it as the environment variable would have it: durations in milliseconds,
/// `***` for a secret, nothing for [`SettingValue::Unset`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SettingValue {
    /// There is no value.
    Unset,
    /// A secret is set. It is never shown.
    Secret,
    /// A text: a URL, a name, a path.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A count, a size or a port.
    Integer(u64),
    /// A number with a fraction.
    Float(f64),
    /// A time span.
    Duration(Duration),
    /// Names and values of tags, in order.
    Tags(Vec<(String, String)>),
    /// The write API.
    Api(Api),
    /// The overflow policy.
    Overflow(Overflow),
    /// The precision of timestamps.
    Precision(Precision),
    /// The durability of the spool.
    SpoolSync(SpoolSync),
}

impl SettingValue {
    /// Whether there is no value.
    pub fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.pad(""),
            Self::Secret => f.pad(MASK),
            Self::Text(text) => f.pad(text),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(number) => f.pad(&number.to_string()),
            // With a fraction, so that a float stays a float: 1.0, not 1.
            Self::Float(number) => f.pad(&format!("{number:?}")),
            Self::Duration(duration) => f.pad(&milliseconds(*duration)),
            Self::Tags(tags) => {
                let pairs: Vec<_> =
                    tags.iter().map(|(name, tag)| format!("{name}={tag}")).collect();
                f.pad(&pairs.join(","))
            }
            Self::Api(api) => api.fmt(f),
            Self::Overflow(overflow) => overflow.fmt(f),
            Self::Precision(precision) => precision.fmt(f),
            Self::SpoolSync(sync) => sync.fmt(f),
        }
    }
}

fn milliseconds(duration: Duration) -> String {
    if duration.subsec_nanos() % 1_000_000 == 0 {
        duration.as_millis().to_string()
    } else {
        (duration.as_secs_f64() * 1e3).to_string()
    }
}

/// What the value of a setting shows of itself.
pub(super) trait ToSettingValue {
    fn to_setting_value(&self) -> SettingValue;
}

impl<T: ToSettingValue> ToSettingValue for Option<T> {
    fn to_setting_value(&self) -> SettingValue {
        self.as_ref().map_or(SettingValue::Unset, T::to_setting_value)
    }
}

macro_rules! to_setting_value {
    ($($type:ty: |$value:ident| $shown:expr,)+) => {$(
        impl ToSettingValue for $type {
            fn to_setting_value(&self) -> SettingValue {
                let $value = self;
                $shown
            }
        }
    )+};
}

to_setting_value! {
    Api: |api| SettingValue::Api(*api),
    Duration: |duration| SettingValue::Duration(*duration),
    Overflow: |overflow| SettingValue::Overflow(*overflow),
    PathBuf: |path| SettingValue::Text(path.display().to_string()),
    Precision: |precision| SettingValue::Precision(*precision),
    Scheme: |scheme| SettingValue::Text(scheme.to_string()),
    Secret: |_secret| SettingValue::Secret,
    SpoolSync: |sync| SettingValue::SpoolSync(*sync),
    String: |text| SettingValue::Text(text.clone()),
    Tags: |tags| SettingValue::Tags(tags.iter().cloned().collect()),
    WriteUrl: |url| SettingValue::Text(url.to_string()),
    bool: |value| SettingValue::Boolean(*value),
    f64: |number| SettingValue::Float(*number),
    u16: |number| SettingValue::Integer(u64::from(*number)),
    usize: |number| SettingValue::Integer(*number as u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_milliseconds() {
        let shown = |duration| SettingValue::Duration(duration).to_string();
        assert_eq!(shown(Duration::from_secs(60)), "60000");
        assert_eq!(shown(Duration::from_micros(1500)), "1.5");
    }

    #[test]
    fn a_secret_is_masked() {
        assert_eq!(Secret::new("hunter2").to_setting_value().to_string(), "***");
    }

    #[test]
    fn a_value_is_padded_as_text_is() {
        for (value, shown) in [
            (SettingValue::Integer(7), "[7    ]"),
            (SettingValue::Unset, "[     ]"),
            (SettingValue::Api(Api::V1), "[v1   ]"),
            (SettingValue::Boolean(true), "[true ]"),
        ] {
            assert_eq!(format!("[{value:<5}]"), shown);
        }
    }
}

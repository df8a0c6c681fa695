//! The types of Arrow's columns that can be stored.

use super::ffi::Type;

/// What a column holds. Widths are in bytes.
pub(super) enum Kind {
    Null,
    Boolean,
    Integer {
        width: usize,
        is_signed: bool,
    },
    Float {
        width: usize,
    },
    /// Text with offsets of this width.
    Text {
        width: usize,
    },
    /// Text in which short values are inline.
    TextView,
    /// Times since the epoch, in units of so many nanoseconds.
    Time {
        width: usize,
        unit: i64,
    },
    /// Numbers of 10 to the power of minus the scale.
    Decimal {
        width: usize,
        scale: i32,
    },
    /// Indices into a dictionary.
    Dictionary {
        width: usize,
        is_signed: bool,
        values: Box<Kind>,
    },
    Other,
}

impl Kind {
    pub(super) fn of(column: Type<'_>) -> Self {
        let kind = Self::of_format(column.format());
        match (column.dictionary(), kind) {
            (None, kind) => kind,
            (Some(values), Self::Integer { width, is_signed }) => {
                Self::Dictionary { width, is_signed, values: Box::new(Self::of(values)) }
            }
            (Some(_), _) => Self::Other,
        }
    }

    fn of_format(format: &str) -> Self {
        const DAY: i64 = 86_400_000_000_000;
        let integer = |width, is_signed| Self::Integer { width, is_signed };
        match format {
            "n" => Self::Null,
            "b" => Self::Boolean,
            "c" => integer(1, true),
            "C" => integer(1, false),
            "s" => integer(2, true),
            "S" => integer(2, false),
            "i" => integer(4, true),
            "I" => integer(4, false),
            "l" => integer(8, true),
            "L" => integer(8, false),
            "f" => Self::Float { width: 4 },
            "g" => Self::Float { width: 8 },
            "u" => Self::Text { width: 4 },
            "U" => Self::Text { width: 8 },
            "vu" => Self::TextView,
            "tdD" => Self::Time { width: 4, unit: DAY },
            "tdm" => Self::Time { width: 8, unit: 1_000_000 },
            _ => Self::with_parameters(format).unwrap_or(Self::Other),
        }
    }

    fn with_parameters(format: &str) -> Option<Self> {
        if let Some(decimal) = format.strip_prefix("d:") {
            let mut numbers = decimal.split(',').map(|number| number.parse::<i32>().ok());
            let (_precision, scale) = (numbers.next()??, numbers.next()??);
            let bits = numbers.next().map_or(Some(128), |bits| bits)?;
            return Some(Self::Decimal { width: usize::try_from(bits / 8).ok()?, scale });
        }
        let unit = match format.split_once(':')?.0 {
            "tss" => 1_000_000_000,
            "tsm" => 1_000_000,
            "tsu" => 1000,
            "tsn" => 1,
            _ => return None,
        };
        Some(Self::Time { width: 8, unit })
    }

    pub(super) fn is_time(&self) -> bool {
        matches!(self, Self::Time { .. })
    }

    pub(super) fn is_field(&self) -> bool {
        match self {
            Self::Time { .. } | Self::Other => false,
            Self::Dictionary { values, .. } => values.is_field(),
            _ => true,
        }
    }

    /// Whether the text of a value is the same in Python.
    pub(super) fn is_tag(&self) -> bool {
        match self {
            Self::Dictionary { values, .. } => values.is_tag(),
            Self::Float { .. } | Self::Decimal { .. } => false,
            _ => self.is_field(),
        }
    }
}

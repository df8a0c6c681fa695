//! Names of Arrow's types, and what to do about those that cannot be stored.

use super::ffi::Type;
use super::kind::Kind;

/// What a column is to be.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Time,
    Tag,
    Field,
}

impl Use {
    pub(super) fn takes(self, kind: &Kind) -> bool {
        match self {
            Self::Time => kind.is_time(),
            Self::Tag => kind.is_tag(),
            Self::Field => kind.is_field(),
        }
    }

    /// What is expected instead of a column of this type, and how to get it.
    pub(super) fn advice(self, column: Type<'_>) -> String {
        let is_text = matches!(column.format(), "u" | "U" | "vu") || column.dictionary().is_some();
        let of_polars = match (self, head(column.format())) {
            (Self::Time, _) if is_text => "; polars converts it by .str.to_datetime()",
            (Self::Time, Head::Number) => "; polars converts numbers by polars.from_epoch()",
            (Self::Field, Head::Duration) => "; polars converts it by .dt.total_seconds()",
            (Self::Field, Head::Time) => "; polars converts it by .dt.epoch()",
            _ => "",
        };
        let expected = match self {
            Self::Time => "the time is a timestamp or a date",
            Self::Tag => "a tag is a text, an integer or a bool; cast it to a text",
            Self::Field => {
                "a field is a number, a bool or a text; cast it, or leave it out of field_columns"
            }
        };
        format!("{expected}{of_polars}")
    }
}

/// What a format begins with.
enum Head {
    Number,
    Duration,
    Time,
    Other,
}

fn head(format: &str) -> Head {
    match format {
        "c" | "C" | "s" | "S" | "i" | "I" | "l" | "L" | "e" | "f" | "g" => Head::Number,
        _ if format.starts_with("tD") => Head::Duration,
        _ if format.starts_with("td") || format.starts_with("ts") => Head::Time,
        _ => Head::Other,
    }
}

/// The name of a type, as polars and pyarrow write it.
pub(super) fn type_name(column: Type<'_>) -> String {
    if let Some(values) = column.dictionary() {
        return format!("dictionary of {}", type_name(values));
    }
    let format = column.format();
    let name = match format {
        "n" => "null",
        "b" => "bool",
        "c" => "int8",
        "C" => "uint8",
        "s" => "int16",
        "S" => "uint16",
        "i" => "int32",
        "I" => "uint32",
        "l" => "int64",
        "L" => "uint64",
        "e" => "float16",
        "f" => "float32",
        "g" => "float64",
        "u" | "U" | "vu" => "string",
        "z" | "Z" | "vz" => "binary",
        "+s" => "struct",
        "+m" => "map",
        "+r" => "run-end encoded",
        _ => match format.get(..2) {
            Some("d:") => "decimal",
            Some("w:") => "binary",
            Some("td") => "date",
            Some("ts") => "timestamp",
            Some("tt") => "time of day",
            Some("tD") => "duration",
            Some("ti") => "interval",
            Some("+l" | "+L" | "+w" | "+v") => "list",
            Some("+u") => "union",
            _ => return format!("Arrow format {format:?}"),
        },
    };
    name.to_owned()
}

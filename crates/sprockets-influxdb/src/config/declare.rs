//! The macro of the table of settings.

/// Declares the settings. An entry has the form
///
/// ```text
/// name: Type {
///     about: "What it is for, in one line of Markdown.",
///     topic: TOPIC,
///     variable: "VARIABLE",         optional
///     alias: "VARIABLE",            optional: another name of the variable
///     unit: "ms",                   optional
///     since: "3.0.0",               the first release that has it
///     parser: PARSER,               a `Parser<Type>`
///     default: value,               optional: without one, the value in force is an `Option`
///     default_text: "…",            Markdown: a default that follows from other settings
/// }
/// ```
macro_rules! settings {
    ($($name:ident: $type:ty {
        about: $about:literal,
        topic: $topic:ident,
        $(variable: $variable:literal,)?
        $(alias: $alias:literal,)?
        $(unit: $unit:literal,)?
        since: $since:literal,
        parser: $parser:expr,
        $(default: $default:expr,)?
        $(default_text: $text:literal,)?
    })+) => {
        /// What a user provided, by setting.
        #[derive(Clone, Debug, Default)]
        pub(super) struct ProvidedValues {
            $(pub(super) $name: Provided<$type>,)+
        }

        /// What a client runs on, by setting.
        #[derive(Clone)]
        pub(crate) struct Values {
            $(pub(crate) $name: InForce<in_force!(type $type $(, $default)?)>,)+
        }

        impl ProvidedValues {
            /// Every value that was provided, and defaults for the others.
            ///
            /// # Errors
            ///
            /// A value that cannot be used. The error names the variable or the argument.
            pub(super) fn or_defaults(&self) -> Result<Values> {
                Ok(Values {
                    $($name: in_force!(value self.$name.checked(&$parser)? $(, $default)?),)+
                })
            }
        }

        pub(super) static ENTRIES: &[Entry] = &[$(Entry {
            description: Description {
                name: stringify!($name),
                variable: optional!($($variable)?),
                alias: optional!($($alias)?),
                about: $about,
                topic: $topic,
                unit: optional!($($unit)?),
                since: $since,
                default: default!([$($text)?] $type $(, $default)?),
            },
            provide: |values, source, text| {
                values.$name.set(source, text.and_then(|text| $parser.read(text)));
            },
            show: |values| (values.$name.value.to_setting_value(), values.$name.source),
        },)+];
    };
}

macro_rules! in_force {
    (type $type:ty) => { Option<$type> };
    (type $type:ty, $default:expr) => { $type };
    (value $value:expr) => { $value };
    (value $value:expr, $default:expr) => { $value.or($default) };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

macro_rules! default {
    ([] $type:ty, $default:expr) => {
        DefaultValue::Value(|| {
            let default: $type = $default;
            default.to_setting_value()
        })
    };
    ([$text:literal] $type:ty $(, $default:expr)?) => {
        DefaultValue::Text($text)
    };
    ([] $type:ty) => {
        DefaultValue::Text("")
    };
}

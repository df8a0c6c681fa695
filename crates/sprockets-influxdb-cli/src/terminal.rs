//! Colours, on terminals only and unless `NO_COLOR` is set.

use std::io::{self, IsTerminal};

use crate::output;

/// The style of text on one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    has_colours: bool,
}

pub(crate) fn on_stdout() -> Style {
    Style::of(&io::stdout())
}

pub(crate) fn on_stderr() -> Style {
    Style::of(&io::stderr())
}

impl Style {
    fn of(stream: &impl IsTerminal) -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_colours: stream.is_terminal() && !is_refused }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.coloured("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.coloured("31", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.coloured("33", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.coloured("2", text)
    }

    fn coloured(self, code: &str, text: &str) -> String {
        if self.has_colours { output::style(code, text) } else { text.to_owned() }
    }
}

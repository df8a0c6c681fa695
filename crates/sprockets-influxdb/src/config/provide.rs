//! How the variables of the environment, and arguments as text, get into the table of settings.

use std::ffi::{OsStr, OsString};

use super::mask::{masked, quoted};
use super::parse::Checked;
use super::schema::{ENTRIES, ProvidedValues};
use super::types::{Description, Source};
use super::url::is_service_link;

impl ProvidedValues {
    /// Takes every variable that is set and not empty.
    ///
    /// Returns `INFLUXDB_PORT` for the log if it is a [service link](url::is_service_link), which
    /// is not taken: nobody set it for this client.
    pub(super) fn read_variables(
        &mut self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Option<String> {
        let mut service_link = None;
        for entry in ENTRIES {
            let Description { variable, alias, .. } = entry.description;
            let mut provided = [variable, alias].into_iter().flatten().filter_map(|variable| {
                let value = lookup(variable).filter(|value| !value.is_empty())?;
                Some((variable, value))
            });
            let Some((variable, value)) = provided.next() else { continue };
            if let Some((alias, other)) = provided.next().filter(|(_, other)| *other != value) {
                let problem = differs(&other, &value, variable);
                (entry.provide)(self, Source::environment(alias), Err(problem));
                continue;
            }
            let is_link = |text: &&str| entry.description.name == "port" && is_service_link(text);
            if let Some(link) = value.to_str().filter(is_link) {
                service_link = Some(quoted(&masked(link)).to_string());
                continue;
            }
            let text = value.to_str().ok_or_else(|| {
                "the value (not shown) is not UTF-8: expected text in UTF-8".to_owned()
            });
            (entry.provide)(self, Source::environment(variable), text);
        }
        service_link
    }

    /// Forgets the parts of the address that the URL overrides, so that they are not judged.
    pub(super) fn forget_overridden(&mut self) {
        let Some(url) = self.url.source() else { return };
        self.scheme.forget_if(|part| part.origin <= url.origin);
        self.host.forget_if(|part| part.origin <= url.origin);
        self.port.forget_if(|part| part.origin <= url.origin);
        if self.url.value().is_some_and(|url| url.user.is_some()) {
            self.user.forget_if(|part| part.origin < url.origin);
        }
    }

    /// Takes the text of an argument.
    ///
    /// # Errors
    ///
    /// A name that no setting has. A value that cannot be used is reported later.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Checked<()> {
        let Some(entry) = ENTRIES.iter().find(|entry| entry.description.name == name) else {
            let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.description.name).collect();
            let names = names.join(", ");
            return Err(format!("{name:?} is not a setting: expected one of {names}"));
        };
        (entry.provide)(self, Source::argument(entry.description.name), Ok(text));
        Ok(())
    }
}

/// Why a variable cannot be used whose other name is `variable`, with another value.
fn differs(alias: &OsStr, value: &OsStr, variable: &str) -> String {
    let [alias, value] = [alias, value].map(|text| quoted(&text.to_string_lossy()).to_string());
    format!(
        "{alias} is not {value}, as {variable} says, which means the same: expected one of them"
    )
}

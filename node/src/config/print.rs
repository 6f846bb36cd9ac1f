//! A configuration as a file, with the meaning of each setting.

use std::fmt::Write;

use toml::{Table, Value};

use super::{Config, Kind, SETTINGS, Setting};

impl Config {
    /// The text of a file that says the same, with a line on what each setting means. Settings without a value stand
    /// there as comments.
    ///
    /// # Panics
    /// If a path is not UTF-8, which those that [`super::Layers`] read are.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let table = Table::try_from(self).expect("every field has a form in TOML");
        let (mut text, mut section) = (String::new(), None);
        for setting in SETTINGS {
            let (of, key) = setting.parts();
            if of != section {
                section = of;
                let _ = writeln!(text, "\n[{}]", of.unwrap_or_default());
            }
            let _ = writeln!(text, "# {} ({})", setting.what, setting.variable());
            // The network says nothing beside a specification, and both together are refused.
            let value = find(&table, setting).filter(|_| setting.path != "network" || self.chain.is_none());
            let _ = match value {
                Some(value) => writeln!(text, "{key} = {}", shown(value)),
                None => writeln!(text, "# {key} = {}", example(setting.kind)),
            };
        }
        text
    }
}

fn find<'a>(table: &'a Table, setting: &Setting) -> Option<&'a Value> {
    let (section, key) = setting.parts();
    match section {
        None => table.get(key),
        Some(section) => table.get(section)?.get(key),
    }
}

/// A value as TOML writes it; lists of several one a line.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(values) if values.len() > 1 => {
            let lines: String = values.iter().map(|value| format!("    {value},\n")).collect();
            format!("[\n{lines}]")
        }
        value => value.to_string(),
    }
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Path => "\"\"",
        Kind::Texts | Kind::Paths => "[]",
        Kind::Number => "0",
        Kind::Truth => "false",
    }
}

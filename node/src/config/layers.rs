//! Joining the sources: file, environment, flags.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, ConfigError, Kind, Network, SETTINGS, Setting};
use crate::toml_error;

/// Longest configuration file that is read: far above any that a person writes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Sources of a configuration, each laid over those before it. Each is checked by itself, so that a mistake is named where
/// it stands.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    merged: Table,
}

/// The text of a configuration file.
///
/// # Errors
/// If it cannot be read, or is longer than [`MAX_FILE_BYTES`].
pub fn read_file(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    // One byte more than there may be shows that there are too many.
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

impl Layers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays the file `path`, which says `text`, over what there is. Its paths that are not absolute stand beside it.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown key, or a value of another kind: with the line and the key.
    pub fn file(self, path: &Path, text: &str) -> Result<Self, ConfigError> {
        let failed = |error: toml::de::Error| {
            let (line, reason) = toml_error::place(text, &error);
            ConfigError::File { path: path.to_owned(), line, reason }
        };
        toml::from_str::<Config>(text).map_err(failed)?;
        let table: Table = toml::from_str(text).map_err(failed)?;
        let whole = std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let beside = whole.parent().unwrap_or(Path::new("/"));
        self.lay(table, beside, &path.display().to_string())
    }

    /// Lays variables of the environment over what there is: of all that are named `SPACETIME_…` those that are settings,
    /// and that are not empty. Paths that are not absolute stand in the folder `beside`.
    ///
    /// # Errors
    /// If one has a value of another kind.
    pub fn environment(self, beside: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        for setting in SETTINGS {
            let name = setting.variable();
            let Some(value) = variable(&name).filter(|value| !value.is_empty()) else { continue };
            let failed = |reason: String| ConfigError::Variable { variable: name.clone(), reason };
            let text = value.into_string().map_err(|_| failed("not UTF-8".to_owned()))?;
            let value = parse(setting.kind, &text).map_err(failed)?;
            check_kind(setting, value.clone()).map_err(failed)?;
            put(&mut table, setting, value);
        }
        self.lay(table, beside, "environment")
    }

    /// Lays flags over what there is: settings with their texts, one for each entry of a list. Paths that are not absolute
    /// stand in the folder `beside`.
    ///
    /// # Errors
    /// If one has a value of another kind.
    pub fn flags(
        self,
        beside: &Path,
        flags: impl IntoIterator<Item = (&'static Setting, Vec<String>)>,
    ) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        for (setting, texts) in flags {
            let failed = |reason: String| ConfigError::Value { setting: setting.path, reason };
            let value = match (setting.kind, texts.as_slice()) {
                (Kind::Texts | Kind::Paths, _) => Value::Array(texts.into_iter().map(Value::String).collect()),
                (kind, [text]) => parse(kind, text).map_err(failed)?,
                (_, texts) => return Err(failed(format!("has {} values, one is wanted", texts.len()))),
            };
            check_kind(setting, value.clone()).map_err(failed)?;
            put(&mut table, setting, value);
        }
        self.lay(table, beside, "flags")
    }

    /// What all of it comes to.
    ///
    /// # Errors
    /// If a value is out of its range, or two contradict each other.
    ///
    /// # Panics
    /// Never: each layer was seen to have the right form.
    pub fn finish(self) -> Result<Config, ConfigError> {
        let network = match self.merged.get("network") {
            Some(name) => name.clone().try_into().expect("each layer was checked"),
            // Of a specification of its own nothing is known here; most are local.
            None if self.merged.contains_key("chain") => Network::Local,
            None => Network::Main,
        };
        let mut table = Table::try_from(Config::usual(network)).expect("it has a form in TOML");
        merge(&mut table, self.merged.clone());
        let mut config: Config = table.try_into().expect("each layer was checked");
        // Whoever wants few peers need not say so three times.
        let is_said = |key| self.merged.get("peers").is_some_and(|peers| peers.get(key).is_some());
        let peers = &mut config.peers;
        if !is_said("outbound") {
            peers.outbound = peers.outbound.min(peers.most);
        }
        if !is_said("inbound") {
            peers.inbound = peers.inbound.min(peers.most.saturating_mul(3) / 4);
        }
        config.check()?;
        Ok(config)
    }

    /// Lays one source over the others.
    fn lay(mut self, mut table: Table, beside: &Path, name: &str) -> Result<Self, ConfigError> {
        for setting in SETTINGS {
            if let Some(value) = get(&mut table, setting) {
                make_absolute(setting.kind, value, beside);
            }
        }
        // Whoever names a chain means it, whatever was named below.
        match (table.contains_key("network"), table.contains_key("chain")) {
            (true, true) => return Err(ConfigError::TwoChains { source_name: name.to_owned() }),
            (true, false) => drop(self.merged.remove("chain")),
            (false, true) => drop(self.merged.remove("network")),
            (false, false) => {}
        }
        merge(&mut self.merged, table);
        Ok(self)
    }
}

/// The value of a setting as the environment writes it.
fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    let list = || Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect());
    Ok(match kind {
        Kind::Text | Kind::Path => Value::String(text.to_owned()),
        Kind::Texts | Kind::Paths => list(),
        Kind::Number => text.parse().map(Value::Integer).map_err(|error| format!("\"{text}\": {error}"))?,
        Kind::Truth => text.parse().map(Value::Boolean).map_err(|_| format!("\"{text}\" is neither true nor false"))?,
    })
}

/// Whether a configuration with this value alone can be read.
fn check_kind(setting: &Setting, value: Value) -> Result<(), String> {
    let mut table = Table::new();
    put(&mut table, setting, value);
    let read: Result<Config, _> = table.try_into();
    read.map(drop).map_err(|error| error.message().split_whitespace().collect::<Vec<_>>().join(" "))
}

fn put(table: &mut Table, setting: &Setting, value: Value) {
    let (section, key) = setting.parts();
    match section {
        None => drop(table.insert(key.to_owned(), value)),
        Some(section) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
    }
}

fn get<'a>(table: &'a mut Table, setting: &Setting) -> Option<&'a mut Value> {
    let (section, key) = setting.parts();
    match section {
        None => table.get_mut(key),
        Some(section) => table.get_mut(section)?.as_table_mut()?.get_mut(key),
    }
}

fn make_absolute(kind: Kind, value: &mut Value, beside: &Path) {
    let join = |value: &mut Value| {
        if let Value::String(text) = value
            && let Ok(path) = beside.join(PathBuf::from(&*text)).into_os_string().into_string()
        {
            *text = path;
        }
    };
    match (kind, value) {
        (Kind::Path, value) => join(value),
        (Kind::Paths, Value::Array(values)) => values.iter_mut().for_each(join),
        _ => {}
    }
}

/// Puts what `over` has in the place of what `under` has, key by key.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

//! Older versions of the state, from the tip down: each differs from the next in what the next one's undo record says.

use std::collections::HashSet;

use super::values::{Counted, VALUE_COLUMNS, parse_entry};
use super::{CheckError, Flaw, Phase, Walk};
use crate::chain::{Height, encode};
use crate::state::StateKey;
use crate::state::tree::{Internal, Node, NodeKey, Path};
use crate::store::versions::{Changed, Undo};
use crate::store::{Column, Database};

impl<D: Database> Walk<'_, D> {
    /// Walks all versions below the tip that are kept. `reachable` nodes belong to the tip's.
    pub(super) fn check_versions(&mut self, counted: &Counted, reachable: u64) -> Result<(), CheckError> {
        let (tip, oldest) = (self.span.tip, self.span.oldest_state);
        self.begin(Phase::Versions, Some(tip.0 - oldest.0));
        self.check_undo_keys()?;
        self.totals.versions = 1;
        let (mut nodes, mut listed) = (reachable, 0);
        // Damage of the tip's root was noted.
        let mut newer = crate::state::tree::root(&self.store.nodes(), tip.0).ok();
        for version in (oldest.0..tip.0).rev().map(Height) {
            let Some(node) = self.root(version)? else { break };
            self.check_root(version, &node)?;
            let mut replaced = HashSet::from([NodeKey::root(version.0)]);
            self.compare(Path::ROOT, &node, newer.as_ref(), &mut replaced)?;
            nodes += replaced.len() as u64;
            listed += self.check_undo(version.next(), &replaced)?;
            newer = Some(node);
            self.totals.versions += 1;
            self.advance(1)?;
        }
        self.totals.nodes = self.count(Column::Tree)?;
        if self.totals.nodes != nodes {
            self.stray_nodes()?;
        }
        if counted.recent != listed {
            self.stray_values()?;
        }
        Ok(())
    }

    /// Walks those nodes of a version that the next one does not have, and adds them to `replaced`.
    fn compare(
        &mut self,
        path: Path,
        node: &Node,
        newer: Option<&Node>,
        replaced: &mut HashSet<NodeKey>,
    ) -> Result<(), CheckError> {
        let Node::Internal(node) = node else { return Ok(()) };
        let newer = newer.and_then(|newer| if let Node::Internal(newer) = newer { Some(newer) } else { None });
        for (nibble, child) in node.slots().into_iter().enumerate() {
            let Some(child) = child else { continue };
            let beside = newer.and_then(|newer: &Internal| newer.child(nibble));
            if beside == Some(child) {
                continue;
            }
            let path = path.child(nibble);
            let (key, Some(below)) = self.child(path, &child)? else { continue };
            // Damage of the newer version was noted when that was walked.
            let beside = beside.and_then(|beside| {
                crate::state::tree::read_child(&self.store.nodes(), path, &beside).ok().map(|(_, node)| node)
            });
            replaced.insert(key);
            self.compare(path, &below, beside.as_ref(), replaced)?;
        }
        Ok(())
    }

    /// Looks whether a version's undo record says what it changed and replaced, and that what it changed was in the
    /// tree before. Returns how many values it changed.
    fn check_undo(&mut self, version: Height, replaced: &HashSet<NodeKey>) -> Result<u64, CheckError> {
        let key = version.0.to_be_bytes();
        let Some(undo) = self.known::<Undo>("undo record", Column::Undo, &key)? else { return Ok(0) };
        let mut named = HashSet::with_capacity(undo.stale.len());
        for bytes in &undo.stale {
            match NodeKey::decode(bytes).filter(|node| replaced.contains(node)) {
                Some(node) if named.insert(node) => {}
                _ => self.note(Column::Undo, &key, Flaw::NotChanged { version, key: bytes.clone() }),
            }
        }
        for node in replaced.difference(&named) {
            self.note(Column::Tree, &node.encode(), Flaw::NotUndone(version));
        }
        let mut changed = 0;
        let mut seen = HashSet::with_capacity(undo.changed.len());
        for Changed { key: bytes, replaced, removed } in &undo.changed {
            let state_key = StateKey::parse(bytes).filter(|_| seen.insert(bytes));
            let Some(state_key) = state_key else {
                self.note(Column::Undo, &key, Flaw::NotChanged { version, key: bytes.clone() });
                continue;
            };
            let entry = [&bytes[..], &(!version.0).to_be_bytes()].concat();
            let read = self.store.database.get(state_key.column(), &entry);
            let before =
                self.store.state(Height(version.0 - 1)).held(&state_key).ok().flatten().map(|(since, _)| since);
            // A key that was removed before the oldest version is forgotten altogether.
            let fits = before == *replaced || before.is_none() && *replaced <= Some(self.span.oldest_state);
            match self.sound(state_key.column(), &entry, read)? {
                Some(Some(value)) if fits && *removed == (value == [0]) => changed += 1,
                Some(Some(_)) => {
                    changed += 1;
                    self.note(Column::Undo, &key, Flaw::NotChanged { version, key: bytes.clone() });
                }
                Some(None) => self.note(Column::Undo, &key, Flaw::NotChanged { version, key: bytes.clone() }),
                None => {}
            }
            self.check_leaf(Height(version.0 - 1), &state_key)?;
        }
        Ok(changed)
    }

    /// Looks whether there are undo records that no kept version has. That of genesis stays for ever.
    fn check_undo_keys(&mut self) -> Result<(), CheckError> {
        let set = |key: &StateKey| Changed { key: key.bytes(), replaced: None, removed: false };
        let changed: Vec<_> = self.genesis.changes.keys().map(set).collect();
        let first = encode(&Undo { changed, stale: Vec::new() });
        let mut has_first = false;
        self.pages(Column::Undo, |walk, key, value| {
            let (tip, oldest) = (walk.span.tip, walk.span.oldest_state);
            match key.try_into().map(u64::from_be_bytes).map(Height) {
                Err(_) => walk.note(Column::Undo, key, Flaw::Key),
                Ok(Height(0)) if value != first => walk.note(Column::Undo, key, Flaw::Genesis),
                Ok(Height(0)) => {}
                Ok(found) if found > tip => walk.note(Column::Undo, key, Flaw::Above { found, tip }),
                Ok(found) if found <= oldest => walk.note(Column::Undo, key, Flaw::Pruned { found, oldest }),
                Ok(_) => {}
            }
            has_first |= key == [0; 8];
            Ok(())
        })?;
        if !has_first {
            self.note(Column::Undo, &[0; 8], Flaw::Missing);
        }
        Ok(())
    }

    /// Names nodes of no kept version, where there are more than all versions have.
    fn stray_nodes(&mut self) -> Result<(), CheckError> {
        self.begin(Phase::Strays, Some(self.totals.nodes));
        self.pages(Column::Tree, |walk, key, _| {
            let (tip, oldest) = (walk.span.tip, walk.span.oldest_state);
            let Some(node) = NodeKey::decode(key) else {
                walk.note(Column::Tree, key, Flaw::Key);
                return walk.advance(1);
            };
            if node.version > tip.0 {
                walk.note(Column::Tree, key, Flaw::Above { found: Height(node.version), tip });
            } else if walk.belongs(Height(node.version.max(oldest.0)), &node) == Some(false)
                && !walk.is_noted(Column::Tree, key)
            {
                walk.note(Column::Tree, key, Flaw::Stray);
            }
            walk.advance(1)
        })
    }

    /// Names values that no undo record names, where there are more than those say.
    fn stray_values(&mut self) -> Result<(), CheckError> {
        self.begin(Phase::Strays, None);
        let (tip, oldest) = (self.span.tip, self.span.oldest_state);
        for column in VALUE_COLUMNS {
            let recent = |key: &[u8], value: &[u8]| {
                let entry = parse_entry(column, key, value).ok()?;
                (entry.version > oldest && entry.version <= tip).then_some((entry.version.0, ()))
            };
            self.by_number(column, recent, |walk, entries| {
                for of_version in entries.chunk_by(|a, b| a.0 == b.0) {
                    let version = Height(of_version[0].0);
                    // One that is not there was noted.
                    let Ok(Some(undo)) = walk.store.undo(version) else { continue };
                    let keys: HashSet<_> = undo.changed.iter().map(|changed| &changed.key[..]).collect();
                    for (_, entry, ()) in of_version {
                        if !keys.contains(&entry[..entry.len() - 8]) {
                            walk.note(column, entry, Flaw::NotUndone(version));
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

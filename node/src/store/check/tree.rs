//! The state's tree at the tip: every node, and every leaf beside its value.

use super::sorted::Sorted;
use super::values::Counted;
use super::{CheckError, Flaw, Phase, Walk};
use crate::chain::{Hash, Height};
use crate::state::tree::{Child, Internal, KeyHash, Leaf, Node, NodeKey, Path, TreeError, read_child, root};
use crate::state::{StateKey, StateReader};
use crate::store::{Column, Database, StoreError};

impl<D: Database> Walk<'_, D> {
    /// Walks the tree of the tip. Returns how many nodes it has.
    pub(super) fn check_tree(&mut self, counted: &Counted) -> Result<u64, CheckError> {
        self.begin(Phase::Tree, Some(counted.values));
        let version = self.span.tip;
        let Some(node) = self.root(version)? else { return Ok(0) };
        self.check_root(version, &node)?;
        let mut values = Sorted::new(counted.values);
        let mut nodes = 0;
        self.walk_node(&NodeKey::root(version.0), &node, &mut values, &mut nodes)?;
        self.values_below(&mut values, None)?;
        Ok(nodes)
    }

    /// The root of a version, if it is there.
    pub(super) fn root(&mut self, version: Height) -> Result<Option<Node>, CheckError> {
        let read = root(&self.store.nodes(), version.0);
        self.node(&NodeKey::root(version.0), read)
    }

    /// A node that should be there. What is wrong with it is noted.
    fn node(&mut self, key: &NodeKey, read: Result<Node, TreeError>) -> Result<Option<Node>, CheckError> {
        if let Err(TreeError::Missing { .. } | TreeError::MissingRoot { .. }) = read {
            self.note(Column::Tree, &key.encode(), Flaw::Missing);
            return Ok(None);
        }
        let read = read.map_err(StoreError::from);
        self.sound(Column::Tree, &key.encode(), read)
    }

    /// A child with its key, if it is the one that its parent names.
    pub(super) fn child(&mut self, path: Path, child: &Child) -> Result<(NodeKey, Option<Node>), CheckError> {
        let key = NodeKey { version: child.version, path };
        let read = read_child(&self.store.nodes(), path, child).map(|(_, node)| node).and_then(|node| {
            let same = node.hash() == child.hash;
            if same { Ok(node) } else { Err(TreeError::corrupt(&key, "its hash is not the one that its parent names")) }
        });
        Ok((key, self.node(&key, read)?))
    }

    /// Compares a version's root with its header's.
    pub(super) fn check_root(&mut self, version: Height, node: &Node) -> Result<(), CheckError> {
        // Headers and their index were judged before.
        let header = match self.store.id_at(version) {
            Ok(Some(id)) => self.store.header(&id).ok().flatten(),
            _ => None,
        };
        let Some(expected) = header.map(|stored| stored.header.state_root) else { return Ok(()) };
        let found = node.hash();
        if found != expected {
            self.note(Column::Tree, &NodeKey::root(version.0).encode(), Flaw::Root { version, found, expected });
        }
        Ok(())
    }

    fn walk_node(
        &mut self,
        key: &NodeKey,
        node: &Node,
        values: &mut Sorted,
        nodes: &mut u64,
    ) -> Result<(), CheckError> {
        *nodes += 1;
        match node {
            Node::Empty => Ok(()),
            Node::Leaf(leaf) => self.leaf(key, leaf, values),
            Node::Internal(node) => self.walk_children(key, node, values, nodes),
        }
    }

    fn walk_children(
        &mut self,
        key: &NodeKey,
        node: &Internal,
        values: &mut Sorted,
        nodes: &mut u64,
    ) -> Result<(), CheckError> {
        for (nibble, child) in node.slots().into_iter().enumerate() {
            let Some(child) = child else { continue };
            let path = key.path.child(nibble);
            match self.child(path, &child)? {
                (key, Some(node)) => self.walk_node(&key, &node, values, nodes)?,
                // Which leaves are below it, nobody knows.
                (_, None) => self.skip_below(path, values)?,
            }
        }
        Ok(())
    }

    fn leaf(&mut self, key: &NodeKey, leaf: &Leaf, values: &mut Sorted) -> Result<(), CheckError> {
        self.values_below(values, Some(&leaf.key))?;
        let version = self.span.tip;
        let found = values.peek(self)?.filter(|value| value.hash == leaf.key);
        match found.map(|value| (value.key, value.value)) {
            None => {
                let flaw = Flaw::NoValue { version, key: Hash(leaf.key.0) };
                self.note(Column::Tree, &key.encode(), flaw);
            }
            Some((key, value)) => {
                values.pop();
                if value != leaf.value {
                    self.note_value(&key, version, Flaw::ValueHash(version))?;
                }
            }
        }
        self.advance(1)
    }

    /// Notes the values before `limit`: there are no leaves for them.
    fn values_below(&mut self, values: &mut Sorted, limit: Option<&KeyHash>) -> Result<(), CheckError> {
        while let Some(value) = values.peek(self)?.filter(|value| limit.is_none_or(|limit| value.hash < *limit)) {
            let key = value.key;
            values.pop();
            self.note_value(&key, self.span.tip, Flaw::NoLeaf(self.span.tip))?;
        }
        Ok(())
    }

    /// Passes over the values below a path, after those before it.
    fn skip_below(&mut self, path: Path, values: &mut Sorted) -> Result<(), CheckError> {
        let first = path.first();
        self.values_below(values, Some(&first))?;
        while values.peek(self)?.is_some_and(|value| path.leads_to(&value.hash)) {
            values.pop();
        }
        Ok(())
    }

    /// Notes what is wrong with the value of a key as `version` sees it.
    pub(super) fn note_value(&mut self, key: &StateKey, version: Height, flaw: Flaw) -> Result<(), CheckError> {
        let wanted = [&key.bytes()[..], &(!version.0).to_be_bytes()].concat();
        let read = self.store.database.first_from(key.column(), &wanted).map_err(StoreError::from);
        let found = self.sound(key.column(), &wanted, read)?.flatten();
        let entry = found.map(|(found, _)| found).filter(|found| found.starts_with(&key.bytes()));
        // One that does not decode was noted already.
        let entry = entry.unwrap_or(wanted);
        if !self.is_noted(key.column(), &entry) {
            self.note(key.column(), &entry, flaw);
        }
        Ok(())
    }

    /// Compares the value that a version has for a key with its leaf.
    pub(super) fn check_leaf(&mut self, version: Height, key: &StateKey) -> Result<(), CheckError> {
        let Ok(leaf) = self.find(version, &key.hash()) else { return Ok(()) };
        let read = self.store.state(version).read(key).map_err(StoreError::from);
        let Some(value) = self.sound(key.column(), &key.bytes(), read)? else { return Ok(()) };
        let value = value.map(|value| crate::state::tree::value_hash(&value));
        match (value, leaf.map(|leaf| leaf.value)) {
            (Some(found), Some(expected)) if found != expected => {
                self.note_value(key, version, Flaw::ValueHash(version))
            }
            (Some(_), None) => self.note_value(key, version, Flaw::NoLeaf(version)),
            (None, Some(_)) => {
                let missing = Flaw::NoValue { version, key: Hash(key.hash().0) };
                self.note(key.column(), &key.bytes(), missing);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A key's leaf in a version. An error says that the way to it is damaged, which is noted where that is walked.
    fn find(&self, version: Height, key: &KeyHash) -> Result<Option<Leaf>, TreeError> {
        let nodes = self.store.nodes();
        let mut at = NodeKey::root(version.0);
        let mut node = root(&nodes, version.0)?;
        loop {
            match node {
                Node::Empty => return Ok(None),
                Node::Leaf(leaf) => return Ok(Some(leaf).filter(|leaf| leaf.key == *key)),
                Node::Internal(internal) => {
                    let nibble = key.nibble(at.path.len());
                    let Some(child) = internal.child(nibble) else { return Ok(None) };
                    (at, node) = read_child(&nodes, at.path.child(nibble), &child)?;
                }
            }
        }
    }

    /// Whether a node belongs to a version. Unknown where the way to it is damaged.
    pub(super) fn belongs(&self, version: Height, key: &NodeKey) -> Option<bool> {
        let nodes = self.store.nodes();
        let (mut at, mut node) = (NodeKey::root(version.0), root(&nodes, version.0).ok()?);
        let way = key.path.first();
        while at.path.len() < key.path.len() {
            let Node::Internal(internal) = node else { return Some(false) };
            let nibble = way.nibble(at.path.len());
            let Some(child) = internal.child(nibble) else { return Some(false) };
            (at, node) = read_child(&nodes, at.path.child(nibble), &child).ok()?;
        }
        Some(at.version == key.version)
    }
}

//! What depends on which connection, so that the end of one concerns nothing else.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::ConnId;

#[derive(Debug)]
pub(crate) struct ByConn<K>(BTreeMap<ConnId, BTreeSet<K>>);

impl<K: Ord> ByConn<K> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn insert(&mut self, conn: Option<ConnId>, key: K) {
        if let Some(conn) = conn {
            self.0.entry(conn).or_default().insert(key);
        }
    }

    pub(crate) fn remove(&mut self, conn: Option<ConnId>, key: &K) {
        let Some(conn) = conn else { return };
        if let Some(keys) = self.0.get_mut(&conn) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(&conn);
            }
        }
    }

    pub(crate) fn of(&self, conn: ConnId) -> impl Iterator<Item = &K> {
        self.0.get(&conn).into_iter().flatten()
    }

    /// Takes what depends on a connection that is gone.
    pub(crate) fn take(&mut self, conn: ConnId) -> BTreeSet<K> {
        self.0.remove(&conn).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = (ConnId, &K)> {
        self.0.iter().flat_map(|(conn, keys)| keys.iter().map(|key| (*conn, key)))
    }
}

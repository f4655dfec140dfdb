//! Where registered telephones send from: the rim lets more through from there than from strangers,
//! and answers their keep-alives.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use hotline_base::Extension;
use hotline_sip::{Binding, Transport};

use crate::Output;

type Way = (Transport, SocketAddr);

/// The ways of each extension's telephones, and how many extensions are at each.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    of: BTreeMap<Extension, BTreeSet<Way>>,
    extensions: BTreeMap<Way, usize>,
}

/// Where these telephones are.
pub(super) fn ways_of(all: &[Binding]) -> BTreeSet<Way> {
    all.iter().map(|it| (it.flow.transport, it.flow.remote)).collect()
}

impl Addresses {
    /// The extension's telephones are there and nowhere else.
    pub(super) fn set(
        &mut self,
        extension: &Extension,
        at: BTreeSet<Way>,
        out: &mut VecDeque<Output>,
    ) {
        let before = self.of.remove(extension).unwrap_or_default();
        for way in at.difference(&before) {
            let n = self.extensions.entry(*way).or_default();
            *n = n.saturating_add(1);
            if *n == 1 {
                out.push_back(told(*way, true));
            }
        }
        for way in before.difference(&at) {
            let Some(n) = self.extensions.get_mut(way) else { continue };
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.extensions.remove(way);
                out.push_back(told(*way, false));
            }
        }
        if !at.is_empty() {
            self.of.insert(extension.clone(), at);
        }
    }
}

const fn told((transport, address): Way, known: bool) -> Output {
    Output::PhonesAt { transport, address, known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_known_from_its_first_telephone_to_its_last() {
        let mut it = Addresses::default();
        let mut out = VecDeque::new();
        let mut set = |extension: &str, at: &[&str]| -> Vec<(String, bool)> {
            let at = at.iter().map(|it| (Transport::Udp, it.parse().unwrap())).collect();
            it.set(&Extension::new(extension), at, &mut out);
            let all = out.drain(..).filter_map(|it| {
                let Output::PhonesAt { address, known, .. } = it else { return None };
                Some((address.to_string(), known))
            });
            all.collect()
        };
        let (a, b) = ("10.0.0.7:5060", "10.0.0.7:5062");
        assert_eq!(set("8001", &[a]), [(a.to_owned(), true)]);
        assert_eq!(set("8001", &[a]), []);
        assert_eq!(set("8002", &[a]), []);
        assert_eq!(set("8001", &[b]), [(b.to_owned(), true)]);
        assert_eq!(set("8002", &[a, b]), []);
        assert_eq!(set("8001", &[]), []);
        assert_eq!(set("8002", &[]), [(a.to_owned(), false), (b.to_owned(), false)]);
    }
}

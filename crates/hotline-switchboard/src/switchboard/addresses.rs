//! Where registered telephones send from: the rim lets more through from there than from strangers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use hotline_base::Extension;

use crate::Output;

/// The addresses of each extension's telephones, and how many extensions are at each.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    of: BTreeMap<Extension, BTreeSet<IpAddr>>,
    extensions: BTreeMap<IpAddr, usize>,
}

impl Addresses {
    /// The extension's telephones are at these addresses and at no other.
    pub(super) fn set(
        &mut self,
        extension: &Extension,
        at: BTreeSet<IpAddr>,
        out: &mut VecDeque<Output>,
    ) {
        let before = self.of.remove(extension).unwrap_or_default();
        for address in at.difference(&before) {
            let n = self.extensions.entry(*address).or_default();
            *n = n.saturating_add(1);
            if *n == 1 {
                out.push_back(Output::PhonesAt { address: *address, known: true });
            }
        }
        for address in before.difference(&at) {
            let Some(n) = self.extensions.get_mut(address) else { continue };
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.extensions.remove(address);
                out.push_back(Output::PhonesAt { address: *address, known: false });
            }
        }
        if !at.is_empty() {
            self.of.insert(extension.clone(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_from_its_first_telephone_to_its_last() {
        let mut it = Addresses::default();
        let mut out = VecDeque::new();
        let mut set = |extension: &str, at: &[&str]| -> Vec<(String, bool)> {
            let at = at.iter().map(|it| it.parse().unwrap()).collect();
            it.set(&Extension::new(extension), at, &mut out);
            let all = out.drain(..).filter_map(|it| {
                let Output::PhonesAt { address, known } = it else { return None };
                Some((address.to_string(), known))
            });
            all.collect()
        };
        let (a, b) = ("10.0.0.7", "10.0.0.8");
        assert_eq!(set("8001", &[a]), [(a.to_owned(), true)]);
        assert_eq!(set("8001", &[a]), []);
        assert_eq!(set("8002", &[a]), []);
        assert_eq!(set("8001", &[b]), [(b.to_owned(), true)]);
        assert_eq!(set("8002", &[a, b]), []);
        assert_eq!(set("8001", &[]), []);
        assert_eq!(set("8002", &[]), [(a.to_owned(), false), (b.to_owned(), false)]);
    }
}

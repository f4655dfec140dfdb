//! Where registered telephones send from: who comes by such a path is no stranger.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use hotline_base::Extension;
use hotline_sip::{Flow, Transport};

use crate::Output;

/// The paths of registered telephones, and how many of them begin at each address.
#[derive(Debug, Default)]
pub(super) struct Phones {
    paths: BTreeMap<(Transport, SocketAddr), Extension>,
    addresses: BTreeMap<IpAddr, usize>,
}

impl Phones {
    pub(super) fn knows(&self, flow: Flow) -> bool {
        self.paths.contains_key(&(flow.transport, flow.remote))
    }

    /// A telephone is at this path and at no other.
    pub(super) fn put(&mut self, extension: &Extension, flow: Flow, out: &mut VecDeque<Output>) {
        let path = (flow.transport, flow.remote);
        let before = self.paths.get(&path);
        if before == Some(extension) {
            return;
        }
        if before.is_none() {
            self.count(flow.remote.ip(), out);
        }
        self.remove(extension, out);
        self.paths.insert(path, extension.clone());
    }

    pub(super) fn remove(&mut self, extension: &Extension, out: &mut VecDeque<Output>) {
        let gone = self.paths.extract_if(.., |_, it| it == extension);
        for ((_, remote), _) in gone.collect::<Vec<_>>() {
            let address = remote.ip();
            let Some(n) = self.addresses.get_mut(&address) else { continue };
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.addresses.remove(&address);
                out.push_back(Output::PhonesAt { address, known: false });
            }
        }
    }

    fn count(&mut self, address: IpAddr, out: &mut VecDeque<Output>) {
        let n = self.addresses.entry(address).or_default();
        *n = n.saturating_add(1);
        if *n == 1 {
            out.push_back(Output::PhonesAt { address, known: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str) -> Flow {
        let local = "10.0.0.1:5060".parse().unwrap();
        let remote = remote.parse().unwrap();
        Flow { transport: Transport::Udp, local, remote, conn: None }
    }

    #[test]
    fn an_address_is_known_from_its_first_telephone_to_its_last() {
        let mut phones = Phones::default();
        let mut out = VecDeque::new();
        let said = |out: &mut VecDeque<Output>| -> Vec<(String, bool)> {
            let all = out.drain(..).filter_map(|it| {
                let Output::PhonesAt { address, known } = it else { return None };
                Some((address.to_string(), known))
            });
            all.collect()
        };
        let (a, b) = (Extension::new("8001"), Extension::new("8002"));
        phones.put(&a, flow("10.0.0.7:5060"), &mut out);
        phones.put(&a, flow("10.0.0.7:5060"), &mut out);
        phones.put(&b, flow("10.0.0.7:5062"), &mut out);
        assert_eq!(said(&mut out), [("10.0.0.7".to_owned(), true)]);
        assert!(phones.knows(flow("10.0.0.7:5062")) && !phones.knows(flow("10.0.0.7:5064")));
        phones.put(&a, flow("10.0.0.8:5060"), &mut out);
        assert_eq!(said(&mut out), [("10.0.0.8".to_owned(), true)]);
        // Another telephone took over the path.
        phones.put(&a, flow("10.0.0.7:5062"), &mut out);
        phones.remove(&b, &mut out);
        assert_eq!(said(&mut out), [("10.0.0.8".to_owned(), false)]);
        phones.remove(&a, &mut out);
        assert_eq!(said(&mut out), [("10.0.0.7".to_owned(), false)]);
    }
}

//! Where a trunk's calls go: the carrier's session border controllers (SBC), and in which order.

use std::net::SocketAddr;

use hotline_base::Random;

/// One signalling address of a carrier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewayConfig {
    pub address: SocketAddr,
    pub transport: GatewayTransport,
    /// The lower one is tried first (RFC 2782).
    pub priority: u16,
    /// The share among gateways of one priority (RFC 2782); 0 gets little.
    pub weight: u16,
}

/// What is spoken to a gateway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GatewayTransport {
    #[default]
    Udp,
    Tcp,
    Tls,
}

impl GatewayTransport {
    /// As it is configured and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// The order in which gateways are tried: by priority, and by lot according to weight among equals
/// (RFC 2782, "Usage rules"). Gives places in `gateways`.
pub fn lots(gateways: &[GatewayConfig], random: &mut Random) -> Vec<usize> {
    let mut left: Vec<_> = gateways.iter().enumerate().collect();
    // Those without weight come first, so that they have a small chance at all.
    left.sort_by_key(|(_, it)| (it.priority, it.weight != 0));
    let mut order = Vec::with_capacity(left.len());
    while let Some((_, first)) = left.first() {
        let equal = left.iter().take_while(|it| it.1.priority == first.priority);
        let sum = equal.map(|it| u64::from(it.1.weight)).sum();
        let lot = random.between(0, sum);
        let mut running = 0;
        let drawn = left.iter().position(|(_, it)| {
            running += u64::from(it.weight);
            running >= lot
        });
        let (place, _) = left.remove(drawn.unwrap_or(0));
        order.push(place);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(priority: u16, weight: u16) -> GatewayConfig {
        let (address, transport) = ("10.0.0.1:5060".parse().unwrap(), GatewayTransport::Udp);
        GatewayConfig { address, transport, priority, weight }
    }

    #[test]
    fn every_gateway_is_in_the_order_once_and_priorities_rise() {
        let all = [gateway(20, 1), gateway(10, 0), gateway(10, 5), gateway(20, 0), gateway(10, 5)];
        let mut random = Random::new(7);
        for _ in 0..1000 {
            let order = lots(&all, &mut random);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            assert!(order.iter().map(|it| all[*it].priority).is_sorted(), "{order:?}");
        }
    }

    #[test]
    fn equals_share_by_weight() {
        let all = [gateway(10, 3), gateway(10, 1), gateway(10, 0)];
        let mut random = Random::new(7);
        let mut first = [0_u32; 3];
        for _ in 0..10_000 {
            first[lots(&all, &mut random)[0]] += 1;
        }
        // Lots 0 to 4: 0 is the weightless one's, 1 the second's or the first's three.
        assert!((5_700..6_300).contains(&first[0]), "{first:?}");
        assert!((1_700..2_300).contains(&first[1]), "{first:?}");
        assert!((1_700..2_300).contains(&first[2]), "{first:?}");
    }

    #[test]
    fn no_gateway_no_order() {
        assert!(lots(&[], &mut Random::new(1)).is_empty());
    }
}

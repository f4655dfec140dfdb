//! Why a call failed, in the words of Chinese operators.

/// What a carrier's status and Q.850 cause mean (domain paper 2.5).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FailCause {
    /// 空号: nobody has that number.
    Vacant,
    /// 停机: the number is barred.
    Suspended,
    /// 关机: the telephone is off or out of reach.
    SwitchedOff,
    /// 忙.
    Busy,
    /// 无应答.
    NoAnswer,
    /// 拒接.
    Rejected,
    /// 网络拥塞: the network had no way, or failed.
    Congestion,
    /// 其他.
    Other,
}

impl FailCause {
    pub const ALL: &'static [Self] = &[
        Self::Vacant,
        Self::Suspended,
        Self::SwitchedOff,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::Congestion,
        Self::Other,
    ];

    /// The Q.850 cause decides when there is one that means something: gateways fold many causes
    /// into one status. `None`: nothing failed.
    pub const fn of(status: Option<u16>, cause: Option<u16>) -> Option<Self> {
        let by_cause = match cause {
            Some(cause) => Self::of_q850(cause),
            None => None,
        };
        match (by_cause, status) {
            (None, Some(status)) => Self::of_status(status),
            (it, _) => it,
        }
    }

    /// ITU-T Q.850 §2.2.7. `None` for normal clearing (16) and unspecified (31).
    pub const fn of_q850(cause: u16) -> Option<Self> {
        Some(match cause {
            16 | 31 => return None,
            // Unallocated, no route to it, changed, incomplete.
            1 | 3 | 22 | 28 => Self::Vacant,
            // Out of order, facility rejected, barred.
            8 | 27 | 29 | 50 | 52 | 53 | 54 | 55 | 57 => Self::Suspended,
            20 => Self::SwitchedOff,
            17 => Self::Busy,
            18 | 19 | 102 => Self::NoAnswer,
            21 => Self::Rejected,
            // No circuit, network out of order, temporary failure, no channel, no resource.
            2 | 25 | 34 | 38 | 41 | 42 | 43 | 44 | 46 | 47 => Self::Congestion,
            _ => Self::Other,
        })
    }

    /// RFC 3261 §21 with RFC 3398 §8.2.6.1 read backwards. `None` below 300 and for 487, which
    /// answers our own CANCEL.
    pub const fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            ..300 | 487 => return None,
            404 | 410 | 484 | 485 | 604 => Self::Vacant,
            480 => Self::SwitchedOff,
            486 | 600 => Self::Busy,
            408 => Self::NoAnswer,
            403 | 603 => Self::Rejected,
            500..600 => Self::Congestion,
            300.. => Self::Other,
        })
    }

    /// For programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Suspended => "suspended",
            Self::SwitchedOff => "switched_off",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Congestion => "congestion",
            Self::Other => "other",
        }
    }

    /// For people.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Vacant => "空号",
            Self::Suspended => "停机",
            Self::SwitchedOff => "关机",
            Self::Busy => "忙",
            Self::NoAnswer => "无应答",
            Self::Rejected => "拒接",
            Self::Congestion => "网络拥塞",
            Self::Other => "其他",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, cause: impl Into<Option<u16>>, zh: &str) {
        let cause = cause.into();
        let found = FailCause::of(Some(status), cause).map_or("", FailCause::zh);
        assert_eq!(found, zh, "{status} {cause:?}");
    }

    #[test]
    fn a_carriers_refusal_has_a_word_for_it() {
        check(404, 1, "空号");
        check(404, None, "空号");
        check(480, 27, "停机");
        check(480, 20, "关机");
        check(480, None, "关机");
        check(486, 17, "忙");
        check(480, 19, "无应答");
        check(480, 18, "无应答");
        check(603, 21, "拒接");
        check(503, 34, "网络拥塞");
        check(500, 38, "网络拥塞");
        check(503, None, "网络拥塞");
        check(488, None, "其他");
        check(502, 127, "其他");
    }

    #[test]
    fn a_cause_that_says_nothing_leaves_the_word_to_the_status() {
        check(486, 31, "忙");
        check(404, 16, "空号");
        assert_eq!(FailCause::of(None, Some(16)), None);
        assert_eq!(FailCause::of(Some(487), None), None);
        assert_eq!(FailCause::of(Some(200), None), None);
    }

    #[test]
    fn every_cause_has_its_own_names() {
        let names: std::collections::BTreeSet<_> =
            FailCause::ALL.iter().map(|it| (it.as_str(), it.zh())).collect();
        assert_eq!(names.len(), FailCause::ALL.len());
    }
}

//! Telephones in browsers: pages that are loaded again, networks that change, and certificates that
//! are not what was described. And telephones that are simply gone.

use std::time::Duration;

use hotline_base::{
    LegId,
    media::{Event as MediaEvent, FailReason, FailedOrder, Profile},
};
use hotline_sip::{HangUp, Transport};

use crate::{
    Shift,
    agenda::Event,
    phones::Line,
    voice::{Voice, profile_of},
};

/// How long a peer that hangs up may not be heard: all copies of a BYE over a bad link.
const TOLD: Duration = Duration::from_secs(40);

/// A browser is missed after 30 s without a check (RFC 7675 §5.1), a telephone without a packet.
const MISSED: Duration = Duration::from_secs(31);

/// A telephone that holds is asked each 30 s whether it is there, in two ways for 32 s each, and
/// that begins anew with each control process and while it is back without knowing of the call.
const MISSED_HOLDING: Duration = Duration::from_mins(5);

impl Shift {
    /// Each page is loaded again once and moves once.
    pub(crate) fn plan_pages(&mut self) {
        if self.plan.faults.storm.is_some() {
            return;
        }
        let pages: Vec<_> = (0..self.phones.len()).filter(|it| self.is_page(*it)).collect();
        for phone in pages {
            let wait = self.part_of(self.plan.span);
            self.after(wait, Event::PageReloads { phone });
            let wait = self.part_of(self.plan.span);
            self.after(wait, Event::PageMoves { phone });
        }
    }

    fn is_page(&self, phone: usize) -> bool {
        self.phones.get(phone).is_some_and(|it| it.profile == Profile::WebRtc)
    }

    /// Sometimes it says goodbye, sometimes it crashes.
    pub(crate) fn page_reloads(&mut self, phone: usize) {
        let now = self.at();
        if self.random.chance(50)
            && let Some(it) = self.phones.get_mut(phone)
        {
            let media = &self.media;
            let is_with = |it: &&Line| it.is_up && media.is_with(it.peer, it.own.session());
            let peers: Vec<_> = it.voices.values().filter(is_with).map(|it| it.peer).collect();
            for leg in it.voices.keys().copied().collect::<Vec<_>>() {
                it.endpoint.hang_up(leg, HangUp { status: 480, reason: None }, now);
            }
            self.drain_phones();
            for peer in peers {
                self.hung_up(peer);
            }
        }
        let wait = self.millis(0, 50);
        self.phone_forgets(phone, wait);
        let wait = self.millis(500, 4_000);
        self.after(wait, Event::PhoneConnects { phone });
    }

    /// The old connection hangs for a while, and the page looks for a new way soon.
    pub(crate) fn page_moves(&mut self, phone: usize) {
        let now = self.at();
        let wait = self.millis(0, 60_000);
        let Some(it) = self.phones.get_mut(phone) else { return };
        let Some(conn) = it.conn.take() else { return };
        it.moves();
        it.endpoint.handle_connection_gone(conn, now);
        self.connection_ends(conn, wait);
        let wait = self.millis(300, 3_000);
        self.after(wait, Event::PhoneConnects { phone });
    }

    /// All that it knew is gone, and so are the peers of its legs.
    pub(crate) fn phone_forgets(&mut self, phone: usize, noticed: Duration) {
        let (seed, first_leg) = (self.random.next_u64(), self.random.next_u64() >> 8);
        let Some(it) = self.phones.get_mut(phone) else { return };
        let (conn, voices) = it.begin_anew(&self.config.sip, seed, first_leg);
        for line in voices {
            let (leg, profile) = (line.peer, line.own.profile);
            if !self.media.is_with(leg, line.own.session()) {
                continue;
            }
            let said = self.media.falls_silent(leg);
            if said.is_empty() {
                self.ledger.n_gone_holding += 1;
                self.must_be_closed(leg, MISSED_HOLDING);
            } else if profile == Profile::WebRtc || self.random.chance(50) {
                for (after, event) in said {
                    self.tell_media(after, event);
                }
                self.must_be_closed(leg, MISSED);
            }
        }
        if let Some(conn) = conn {
            self.connection_ends(conn, noticed);
        }
    }

    /// It is there again, or somewhere else, and begins ICE anew in what it still talks of.
    pub(crate) fn phone_connects(&mut self, phone: usize) {
        if self.office_is_cut() {
            return self.after(Duration::from_millis(500), Event::PhoneConnects { phone });
        }
        self.phone_registers(phone);
        let (now, is_page) = (self.at(), self.is_page(phone));
        let Some(it) = self.phones.get_mut(phone).filter(|_| is_page) else { return };
        for (leg, voice) in it.voices.iter_mut().filter(|it| it.1.is_up) {
            voice.own.restart();
            it.endpoint.reoffer(*leg, voice.own.offer(), now);
        }
    }

    /// The browser behind the words of ICE shows its certificate.
    pub(crate) fn certificate_shown(&mut self, leg: LegId) {
        let Some(described) = self.media.browser(leg).cloned() else { return };
        let speaks = |it: &&Line| it.peer == leg && it.own.ufrag() == described.ufrag;
        let mut pages = self.phones.iter();
        let shown = pages.find_map(|it| it.voices.values().find(speaks).map(|_| it.certificate));
        // Nobody is there to begin DTLS any more; or it is there, and is believed or not.
        if shown.is_some_and(|it| it != described.fingerprint) {
            let (order, reason) = (FailedOrder::Secure, FailReason::BadCertificate);
            self.tell_media(Duration::ZERO, MediaEvent::Failed { leg, order, reason });
            self.must_be_closed(leg, Duration::from_millis(1));
            self.ledger.n_impostors += 1;
        }
    }

    /// It says nothing any more. Without a connection its BYE is lost.
    pub(crate) fn phone_hung_up(&mut self, phone: usize, peer: LegId) {
        let said = self.media.falls_silent(peer);
        let is_told = self
            .phones
            .get(phone)
            .is_some_and(|it| it.conn.is_some() || it.transport == Transport::Udp);
        if is_told || !said.is_empty() {
            self.hung_up(peer);
        } else {
            self.must_be_closed(peer, MISSED_HOLDING);
        }
        for (after, event) in said {
            self.tell_media(after, event);
        }
    }

    /// The other end of a leg has gone, or said so.
    pub(crate) fn hung_up(&mut self, leg: LegId) {
        self.must_be_closed(leg, TOLD);
    }

    fn must_be_closed(&mut self, leg: LegId, after: Duration) {
        let life = self.media_life;
        self.after(after, Event::MustBeClosed { leg, life });
    }

    /// Nobody is kept busy by a leg whose peer is gone. The next media process misses him anew.
    pub(crate) fn check_closed(&mut self, leg: LegId, life: u32) {
        if !self.media.has(leg) || self.vanished.is_some() {
        } else if life != self.media_life || !self.media_up {
            self.must_be_closed(leg, MISSED + Duration::from_secs(6));
        } else {
            self.ledger.fail(format!("{leg} is open, and its peer has been gone for long"));
        }
    }

    /// What a telephone is described is as its way of signalling wants it.
    pub(crate) fn check_profile(&mut self, described: Profile, phone: usize) {
        if let Some(it) = self.phones.get(phone)
            && it.profile != described
        {
            let (wanted, way) = (it.profile, it.transport.name());
            self.ledger.fail(format!("a telephone over {way} gets {described:?}, not {wanted:?}"));
        }
    }

    /// An offer of a telephone's was answered.
    pub(crate) fn phone_is_answered(&mut self, phone: usize, leg: LegId, answer: &str) {
        let line = self.phones.get(phone).and_then(|it| it.voices.get(&leg));
        let Some((own, peer)) = line.map(|it| (it.own.clone(), it.peer)) else { return };
        match own.settle(answer) {
            Ok((_, security)) => self.check_profile(profile_of(&security), phone),
            Err(why) => self.ledger.fail(format!("an offer is answered so that {why}")),
        }
        self.check_words(&own, peer);
    }

    /// The words of ICE that a page was answered to are those that media checks.
    fn check_words(&mut self, own: &Voice, peer: LegId) {
        let words = self.media.browser(peer).map(|it| it.ufrag.clone());
        if words.is_some_and(|it| it != own.ufrag()) {
            self.ledger.fail(format!("{peer} does not know that its browser began ICE anew"));
        }
    }
}

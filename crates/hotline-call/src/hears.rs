//! Who hears whom: a function from where the parties are, and nothing else.

use hotline_base::{LegId, Oversight, media::Hears};

/// A party whose audio is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seat {
    pub leg: LegId,
    pub role: Role,
    pub room: Room,
}

/// What a party is to the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The party outside for whom the call is: a caller, or whom an agent called.
    Caller,
    /// The agent who has the call; a whispering supervisor speaks to him.
    Agent,
    /// Everybody who was called in: a consulted agent, a department, a member of a conference.
    Guest,
    /// 班长. He is in the room of the agent he supervises.
    Supervisor(Oversight),
}

/// Who is in the same room hears each other, unless a supervisor is discreet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// 通话, 三方通话, 会议.
    Talk,
    /// 咨询: the agent and whom he asks, while the caller waits in the other room.
    Aside,
    /// 保持, or not there yet: hears nobody and is heard by nobody.
    Apart,
}

/// Whom each party hears, in the order of the seats.
pub fn hears(seats: &[Seat]) -> Vec<Hears> {
    let hears_of = |listener: &Seat| Hears {
        listener: listener.leg,
        speakers: seats.iter().filter(|it| is_heard(listener, it)).map(|it| it.leg).collect(),
    };
    seats.iter().map(hears_of).collect()
}

fn is_heard(listener: &Seat, speaker: &Seat) -> bool {
    let together = listener.room == speaker.room && speaker.room != Room::Apart;
    together && listener.leg != speaker.leg && speaks_to(speaker.role, listener.role)
}

const fn speaks_to(speaker: Role, listener: Role) -> bool {
    match speaker {
        Role::Caller | Role::Agent | Role::Guest | Role::Supervisor(Oversight::BargeIn) => true,
        Role::Supervisor(Oversight::Whisper) => matches!(listener, Role::Agent),
        Role::Supervisor(Oversight::Listen) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(char, LegId); 6] = [
        ('c', LegId(1)),
        ('a', LegId(2)),
        ('t', LegId(3)),
        ('u', LegId(4)),
        ('s', LegId(5)),
        ('z', LegId(6)),
    ];

    /// Seats from a text: who is in the talk, who is aside, who is apart.
    fn seats(talk: &str, aside: &str, apart: &str, oversight: Oversight) -> Vec<Seat> {
        let rooms = [(talk, Room::Talk), (aside, Room::Aside), (apart, Room::Apart)];
        let seat = |name: char, room| Seat {
            leg: NAMES.iter().find(|it| it.0 == name).unwrap().1,
            role: match name {
                'c' => Role::Caller,
                'a' => Role::Agent,
                's' | 'z' => Role::Supervisor(oversight),
                _ => Role::Guest,
            },
            room,
        };
        rooms.iter().flat_map(|(who, room)| who.chars().map(move |it| seat(it, *room))).collect()
    }

    /// The whole table in one line, such as `c:a a:c`.
    fn table(seats: &[Seat]) -> String {
        let name = |leg: LegId| NAMES.iter().find(|it| it.1 == leg).unwrap().0;
        let row = |it: &Hears| {
            let speakers: String = it.speakers.iter().map(|it| name(*it)).collect();
            format!("{}:{speakers}", name(it.listener))
        };
        hears(seats).iter().map(row).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(talk: &str, aside: &str, apart: &str, expected: &str) {
        assert_eq!(table(&seats(talk, aside, apart, Oversight::Listen)), expected);
    }

    #[track_caller]
    fn oversees(how: Oversight, talk: &str, aside: &str, expected: &str) {
        assert_eq!(table(&seats(talk, aside, "", how)), expected);
    }

    #[test]
    fn two_who_talk_hear_each_other() {
        check("ca", "", "", "c:a a:c");
    }

    #[test]
    fn a_held_caller_hears_nobody_and_the_agent_hears_nobody() {
        check("c", "", "a", "c: a:");
    }

    #[test]
    fn caller_hears_nothing_of_a_consultation() {
        check("c", "at", "", "c: a:t t:a");
    }

    #[test]
    fn three_who_talk_hear_both_others() {
        check("cat", "", "", "c:at a:ct t:ca");
    }

    #[test]
    fn caller_and_target_go_on_when_an_agent_of_three_holds() {
        check("ct", "", "a", "c:t t:c a:");
    }

    #[test]
    fn nobody_hears_a_listening_supervisor() {
        oversees(Oversight::Listen, "cas", "", "c:a a:c s:ca");
        oversees(Oversight::Listen, "cats", "", "c:at a:ct t:ca s:cat");
    }

    #[test]
    fn only_the_agent_hears_a_whispering_supervisor() {
        oversees(Oversight::Whisper, "cas", "", "c:a a:cs s:ca");
        oversees(Oversight::Whisper, "cats", "", "c:at a:cts t:ca s:cat");
    }

    #[test]
    fn everybody_hears_a_supervisor_who_barges_in() {
        oversees(Oversight::BargeIn, "cas", "", "c:as a:cs s:ca");
        oversees(Oversight::BargeIn, "cats", "", "c:ats a:cts t:cas s:cat");
    }

    #[test]
    fn a_supervisor_goes_aside_with_the_agent_and_the_caller_hears_neither() {
        oversees(Oversight::Listen, "c", "ats", "c: a:t t:a s:at");
        oversees(Oversight::Whisper, "c", "ats", "c: a:ts t:a s:at");
        oversees(Oversight::BargeIn, "c", "ats", "c: a:ts t:as s:at");
    }

    #[test]
    fn two_supervisors_hear_each_other_only_when_they_speak_to_all() {
        oversees(Oversight::Whisper, "casz", "", "c:a a:csz s:ca z:ca");
        oversees(Oversight::BargeIn, "casz", "", "c:asz a:csz s:caz z:cas");
    }

    #[test]
    fn thirty_two_in_a_conference_hear_the_thirty_one_others() {
        let seat = |n| Seat { leg: LegId(n), role: Role::Guest, room: Room::Talk };
        let all: Vec<_> = (0..32).map(seat).collect();
        for it in hears(&all) {
            assert_eq!(it.speakers.len(), 31);
            assert!(!it.speakers.contains(&it.listener), "nobody hears himself");
        }
    }
}

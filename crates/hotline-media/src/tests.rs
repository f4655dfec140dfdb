//! The whole role over real sockets: orders and events on a link, phones on the loopback.

mod both;
mod browsers;
mod calls;
mod codecs;
mod kernel;
mod kills;
mod link;
mod log;
mod page;
mod parties;
mod priority;
mod reports;
mod revival;
mod rig;
mod room;
mod sdes;
mod senses;
mod stalls;
mod tapes;
mod volumes;
mod workers;

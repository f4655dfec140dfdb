//! One file for each part of the configuration: keys in, the part's own value out.

pub(crate) mod account;
pub(crate) mod agent;
pub(crate) mod calls;
pub(crate) mod directory;
pub(crate) mod engine;
pub(crate) mod group;
pub(crate) mod http;
pub(crate) mod ladder;
pub(crate) mod media;
pub(crate) mod outbound;
pub(crate) mod push;
pub(crate) mod recording;
pub(crate) mod regions;
pub(crate) mod registration;
pub(crate) mod rules;
pub(crate) mod sip;
pub(crate) mod tls;
pub(crate) mod trunk;

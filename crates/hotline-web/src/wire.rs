//! JSON twins of inner types. The names are those of the domain paper.

pub(crate) mod agent;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod time;
pub(crate) mod trunk;

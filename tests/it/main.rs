//! Tests without sockets: layering, tidy, simulation, flows, configuration.

mod carriers;
mod config;
mod door;
mod flows;
mod house;
mod layering;
mod licences;
mod papers;
mod security;
mod simulation;
mod tidy;

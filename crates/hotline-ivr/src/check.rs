//! Judges the files of a bundle and makes the bundle of them.
//!
//! The order of the passes follows who needs whom: names first (catalogue, calendars, tables,
//! flow heads), then the nodes of the flows, then the graphs, then every number with its
//! parameters.

mod advice;
mod fields;
mod files;
mod graph;
mod header;
mod node_reader;
mod numbers;
mod secret;
mod traps;
mod world;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use self::{
    fields::{
        Desk, Fields, Spot, bool_of, duration_of, int_of, items_of, loose_text, parse_duration,
        text_of,
    },
    header::Read,
    node_reader::NodeReader,
};
use self::{files::Fallback, world::World};
use crate::{
    Bundle, Complaint,
    flow::platform_flow,
    raw::{RawBundle, RawFile, RawKind},
};
use hotline_base::{FlowId, PromptId};

/// Every complaint at once; the bundle holds what could be understood and must not be used when
/// one of the complaints is an error.
pub fn check(files: &RawBundle) -> (Bundle, Vec<Complaint>) {
    let desk = Desk::default();
    for file in &files.files {
        if file.kind != RawKind::TableRows {
            traps::check(&file.root, &Spot::new(&desk, &file.name));
        }
    }
    let mut world = World { groups: files.groups.clone(), ..World::default() };
    files::catalog(files, &desk, &mut world);
    let mut bundle = Bundle {
        prompts: recorded(&world),
        hash: files.hash.clone(),
        calendars: files::calendars(files, &desk),
        ..Bundle::default()
    };
    world.calendars = bundle.calendars.keys().cloned().collect();
    bundle.schedules = files::schedules(files, &desk, &world);
    world.schedules = bundle.schedules.keys().cloned().collect();
    let shapes = files::table_shapes(files, &desk);
    world.tables = shapes.iter().map(|it| (it.0.clone(), it.1.of.ty())).collect();
    world.flows = header::heads(files, &desk);
    header::defaults(files, &desk, &mut world);
    let fallback = files::session(files, &desk, &mut world);
    bundle.tables = files::tables(files, &desk, &world, &shapes);
    bundle.session.clone_from(&world.session);
    adopt_fallback(&mut bundle, fallback, &world);
    let flows = header::flows(files, &desk, &world);
    for read in &flows {
        graph::check(read, &desk);
        advice::check(read, files, &desk, &world);
    }
    bundle.numbers = numbers::numbers(files, &desk, &world);
    let by_id: BTreeMap<&str, &Read> = flows.iter().map(|it| (it.flow.id.as_str(), it)).collect();
    numbers::instantiate(&bundle, &by_id, &desk, &world);
    advice::untested(files, &bundle, &desk);
    files::coming_days(files, &bundle, &desk);
    let allowed = header::allowed_warnings(files);
    bundle.flows = flows
        .into_iter()
        .map(|it| (it.flow.id.clone(), Arc::new(it.flow)))
        .collect::<BTreeMap<FlowId, _>>();
    let mut complaints = desk.complaints.into_inner();
    complaints.retain(|it| {
        it.is_error()
            || !allowed.get(&it.file).is_some_and(|codes| codes.iter().any(|c| c == it.code))
    });
    complaints.sort();
    (bundle, complaints)
}

fn recorded(world: &World) -> std::collections::BTreeSet<PromptId> {
    world.prompts.iter().filter(|it| it.1.is_some()).map(|it| it.0.clone()).collect()
}

fn adopt_fallback(bundle: &mut Bundle, fallback: Fallback, world: &World) {
    bundle.fallback_flow =
        fallback.flow.filter(|it| world.flows.contains_key(it)).map(|it| FlowId::new(&it));
    if let Some(group) = fallback.group {
        bundle.platform = Arc::new(platform_flow(&group));
        bundle.fallback_group = group;
    }
}

/// The files of one kind.
pub(crate) fn of_kind(files: &RawBundle, kind: RawKind) -> impl Iterator<Item = &RawFile> {
    files.files.iter().filter(move |it| it.kind == kind)
}

#[cfg(test)]
mod tests;

//! What clients may change of a Source (section 4). That it comes and goes with its Flows is in `flow.rs`.

use tapelog_commands::{Rejection, SourceProperty};
use tapelog_events::{Source, SourceCollectionItem, SourceId, SourceUpdated, TagValue};

use crate::harness::*;

fn changed(change: impl FnOnce(&mut Source)) -> Source {
    let mut source = Source { updated: NOW, updated_by: text(ACTOR), ..stored_source(SOURCE) };
    change(&mut source);
    source
}

fn updated(source: Source) -> tapelog_events::Event {
    SourceUpdated { source, collected_by: Vec::new(), source_collection: Vec::new() }.into()
}

#[test]
fn each_property_is_set_and_unset_and_says_who_changed_it_when() {
    let many = TagValue::Many(vec!["x".to_owned(), "y".to_owned()]);
    given(flow_with_source(FLOW, SOURCE))
        .when(set_source(SOURCE, SourceProperty::Label(text("news"))))
        .then_events([updated(changed(|source| source.label = text("news")))])
        .when(set_source(SOURCE, SourceProperty::Label(None)))
        .then_events([updated(changed(|_| {}))])
        .when(set_source(SOURCE, SourceProperty::Description(text("at ten"))))
        .then_events([updated(changed(|source| source.description = text("at ten")))])
        .when(set_source(SOURCE, SourceProperty::Description(None)))
        .then_events([updated(changed(|_| {}))])
        .when(set_source(SOURCE, SourceProperty::Tag("a/b c".to_owned(), Some(many.clone()))))
        .then_events([updated(changed(|source| drop(source.tags.insert("a/b c".to_owned(), many))))])
        .when(set_source(SOURCE, SourceProperty::Tag("a/b c".to_owned(), None)))
        .then_events([updated(changed(|_| {}))])
        .then_holds(|state| *state.source(SOURCE).unwrap().source == changed(|_| {}));
}

#[test]
fn what_is_already_so_changes_nothing() {
    given(flow_with_source(FLOW, SOURCE))
        .when(set_source(SOURCE, SourceProperty::Label(None)))
        .then_nothing_happens()
        .when(set_source(SOURCE, SourceProperty::Description(None)))
        .then_nothing_happens();
}

#[test]
fn a_tag_that_is_not_set_cannot_be_deleted() {
    given(flow_with_source(FLOW, SOURCE))
        .when(set_source(SOURCE, SourceProperty::Tag("missing".to_owned(), None)))
        .then_rejected(Rejection::TagNotFound("missing".to_owned()));
}

#[test]
fn a_source_that_does_not_exist_cannot_be_changed() {
    given([])
        .when(set_source(SOURCE, SourceProperty::Label(text("news"))))
        .then_rejected(Rejection::SourceNotFound(SOURCE));
}

#[test]
fn a_change_of_a_source_leaves_its_flows_as_they_are() {
    given(flow_with_source(FLOW, SOURCE))
        .when(set_source(SOURCE, SourceProperty::Label(text("news"))))
        .then_holds(|state| *state.flow(FLOW).unwrap().flow == stored_flow(FLOW, SOURCE));
}

#[test]
fn the_event_tells_what_the_source_collects_and_what_collects_it() {
    let mut collector = stored_flow(OTHER_FLOW, OTHER_SOURCE);
    collector.flow_collection = Some(vec![member_as(FLOW, "video"), member_as(FLOW, "video"), member(FLOW)]);
    let events = [flow_with_source(FLOW, SOURCE), vec![source_created(OTHER_SOURCE), flow_created(collector)]].concat();
    let item = |id: SourceId, role: Option<&str>| SourceCollectionItem { id, role: role.map(str::to_owned) };

    given(events)
        .when(set_source(SOURCE, SourceProperty::Label(text("news"))))
        .then_events([SourceUpdated {
            source: changed(|source| source.label = text("news")),
            collected_by: vec![OTHER_SOURCE],
            source_collection: Vec::new(),
        }
        .into()])
        .when(set_source(OTHER_SOURCE, SourceProperty::Label(text("programme"))))
        .then_events([SourceUpdated {
            source: Source { id: OTHER_SOURCE, ..changed(|source| source.label = text("programme")) },
            collected_by: Vec::new(),
            source_collection: vec![item(SOURCE, Some("video")), item(SOURCE, None)],
        }
        .into()]);
}

//! Fine-grained access (14.2): 404 for who may do nothing with a resource, 403 for who may not do this.

use tapelog_commands::{
    AllocateStorage, Command, EditSource, Expected, FlowMetadata, FlowProperty, NewSegment, PutFlow, Rejection,
    SourceProperty,
};
use tapelog_events::{Access, Event, Permission, SegmentFailureKind, SourceUpdated, TagValue};

use crate::harness::*;

fn news(permissions: &[Permission]) -> Access {
    access([("news", permissions)])
}

fn forbidden(what: &str) -> Rejection {
    Rejection::Forbidden(what.to_owned())
}

/// [`FLOW`] and its Source, both of the class `news`, with a segment of `o1`.
fn news_flow() -> Vec<Event> {
    let (mut flow, mut source) = (stored_flow(FLOW, SOURCE), stored_source(SOURCE));
    (flow.tags, source.tags) = (of_class("news"), of_class("news"));
    let segments = segments_added(FLOW, SOURCE, [stored_segment("o1", "[0:0_1:0)")]);
    vec![tapelog_events::SourceCreated { source }.into(), flow_created(flow), segments]
}

/// Whoever is told later is judged by the classes of that moment, also where the event does not hold the resource.
#[test]
fn events_say_the_classes_of_the_flow_or_source_that_they_do_not_hold() {
    let news = Some(TagValue::One("news".to_owned()));
    let then = given(news_flow()).when(delete_segments(FLOW, "_", None));
    let Event::SegmentsDeleted(deleted) = then.only_event() else { panic!("segments were deleted") };
    assert_eq!(deleted.collected_by.auth_classes, news);
    let posted =
        NewSegment { get_urls: vec![located("https://example.com/x", "elsewhere")], ..new_segment("o2", "[1:0_2:0)") };
    let then = given(news_flow()).when(post_one(FLOW, posted));
    let Event::SegmentsAdded(added) = then.only_event() else { panic!("segments were added") };
    assert_eq!(added.collected_by.auth_classes, news);
    let mut classes = Vec::new();
    for event in given(news_flow()).when(delete_flow(FLOW)).events() {
        match event {
            Event::FlowDeleted(event) => classes.push(event.collected_by.auth_classes),
            Event::SourceDeleted(event) => classes.push(event.auth_classes),
            _ => {}
        }
    }
    assert_eq!(classes, [news.clone(), news]);
    let then = given(news_flow()).when(set(FLOW, FlowProperty::Label(text("x"))));
    let Event::FlowUpdated(updated) = then.only_event() else { panic!("the flow was updated") };
    assert_eq!(updated.collected_by.auth_classes, None, "the event holds the flow itself");
}

#[test]
fn a_flow_is_changed_by_who_may_write_and_deleted_by_who_may_delete() {
    let writes = [
        set(FLOW, FlowProperty::Label(text("x"))),
        allocate(FLOW, ["new"]),
        post_list(FLOW, []),
        put_flow(FLOW, metadata(SOURCE)),
    ];
    for command in writes {
        given(news_flow())
            .when_by(&access([]), command.clone())
            .then_rejected(Rejection::FlowNotFound(FLOW))
            .when_by(&news(&[Permission::Read, Permission::Delete]), command)
            .then_rejected(forbidden("change it"));
    }
    for command in [delete_flow(FLOW), delete_segments(FLOW, "_", None)] {
        given(news_flow())
            .when_by(&access([]), command.clone())
            .then_rejected(Rejection::FlowNotFound(FLOW))
            .when_by(&news(&[Permission::Read, Permission::Write]), command.clone())
            .then_rejected(forbidden("delete it, or anything of it"))
            .when_by(&news(&[Permission::Delete]), command)
            .then_holds(|state| listed(state, FLOW).is_empty());
    }
}

#[test]
fn a_source_is_changed_by_who_may_write() {
    let changes = [
        set_source(SOURCE, SourceProperty::Label(text("x"))),
        Command::EditSource(EditSource { source_id: SOURCE, label: text("x"), description: None, tags: None }),
    ];
    for command in changes {
        given(news_flow())
            .when_by(&access([]), command.clone())
            .then_rejected(Rejection::SourceNotFound(SOURCE))
            .when_by(&news(&[Permission::Read]), command.clone())
            .then_rejected(forbidden("change it"))
            .when_by(&news(&[Permission::Write]), command)
            .then_holds(|state| state.source(SOURCE).unwrap().source.label == text("x"));
    }
}

#[test]
fn several_properties_of_a_source_change_at_once_and_what_is_absent_stays() {
    let edit = |label: &str, tags| {
        let label = (!label.is_empty()).then(|| label.to_owned());
        Command::EditSource(EditSource { source_id: SOURCE, label, description: None, tags })
    };
    let handled = given(flow_with_source(FLOW, SOURCE)).when(edit("x", Some(tags([("a", "1")]))));
    let Event::SourceUpdated(SourceUpdated { source, .. }) = handled.only_event() else { panic!("no update") };
    assert_eq!((source.label, source.tags), (text("x"), tags([("a", "1")])));
    handled
        .when(edit("", None))
        .then_nothing_happens()
        .when(edit("y", None))
        .then_holds(|state| state.source(SOURCE).unwrap().source.tags == tags([("a", "1")]));
}

#[test]
fn a_flow_joins_only_a_source_that_may_be_changed() {
    given(news_flow())
        .when_by(&news(&[Permission::Read]), put_flow(OTHER_FLOW, metadata(SOURCE)))
        .then_rejected(forbidden(&format!("add flows to source {SOURCE}")));
}

#[test]
fn a_new_flow_is_expected_absent_and_a_known_one_present_where_that_is_asked() {
    let put = |flow_id, expected| Command::PutFlow(Box::new(PutFlow { flow_id, expected, metadata: metadata(SOURCE) }));
    given(flow_with_source(FLOW, SOURCE))
        .when(put(FLOW, Expected::Absent))
        .then_rejected(Rejection::FlowExists(FLOW))
        .when(put(OTHER_FLOW, Expected::Present))
        .then_rejected(Rejection::FlowNotFound(OTHER_FLOW));
}

#[test]
fn a_collection_names_only_flows_that_may_be_seen() {
    given(news_flow())
        .when_by(
            &access([]),
            put_flow(OTHER_FLOW, FlowMetadata { flow_collection: Some(vec![member(FLOW)]), ..metadata(OTHER_SOURCE) }),
        )
        .then_rejected(Rejection::UnknownMember(FLOW));
}

#[test]
fn classes_are_changed_only_by_who_may_write_in_them() {
    let writer = news(&[Permission::Read, Permission::Write]);
    let tagged = |tags| FlowMetadata { tags, ..metadata(SOURCE) };
    for tags in [of_class("sport"), tags([])] {
        given(news_flow()).when_by(&writer, put_flow(FLOW, tagged(tags))).then_rejected(Rejection::Reclassified);
    }
    given(flow_with_source(FLOW, SOURCE))
        .when_by(&writer, set(FLOW, FlowProperty::Tags(of_class("sport"))))
        .then_rejected(Rejection::Reclassified)
        .when_by(&writer, set(FLOW, FlowProperty::Tags(of_class("news"))))
        .then_holds(|state| state.flow(FLOW).unwrap().flow.tags == of_class("news"));
}

#[test]
fn storage_is_given_out_on_backends_that_may_be_written() {
    let command = AllocateStorage { storage_tags: of_class("vault"), ..allocation(FLOW, ["o1"]) };
    given(flow_with_source(FLOW, SOURCE))
        .when_by(&news(&[Permission::Write]), Command::AllocateStorage(command))
        .then_rejected(forbidden(&format!("store objects on storage backend {BACKEND}")));
}

#[test]
fn an_object_is_used_again_by_who_may_read_a_flow_that_uses_it() {
    let events = || [news_flow(), flow_with_source(OTHER_FLOW, OTHER_SOURCE)].concat();
    let again = || new_segment("o1", "[0:0_1:0)");
    let located = NewSegment { get_urls: vec![located("https://example.com/x", "elsewhere")], ..again() };
    given(events())
        .when_by(&access([]), post_one(OTHER_FLOW, again()))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject))
        .when_by(&access([]), post_one(OTHER_FLOW, located))
        .then_rejected(Rejection::Segment(SegmentFailureKind::NotReadable))
        .when_by(&news(&[Permission::Read]), post_one(OTHER_FLOW, again()))
        .then_holds(|state| listed(state, OTHER_FLOW).len() == 1)
        .when_by(&access([]), delete_segments(OTHER_FLOW, "_", None))
        .then_holds(|state| listed(state, OTHER_FLOW).is_empty());
}

#[test]
fn what_was_given_out_to_a_flow_that_may_not_be_seen_is_unknown() {
    let events = [news_flow(), flow_with_source(OTHER_FLOW, OTHER_SOURCE), vec![allocated(FLOW, ["free"])]].concat();
    given(events)
        .when_by(&access([]), post_one(OTHER_FLOW, new_segment("free", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject))
        .when_by(&news(&[Permission::Read]), post_one(OTHER_FLOW, new_segment("free", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::AllocatedElsewhere));
}

#[test]
fn an_init_object_of_flows_that_may_not_be_seen_is_unknown() {
    let mut other = stored_flow(OTHER_FLOW, OTHER_SOURCE);
    other.tags = of_class("news");
    let needs = segments_added_with_init(OTHER_FLOW, OTHER_SOURCE, "secret", [stored_segment("o9", "[0:0_1:0)")]);
    let secret = [source_created(OTHER_SOURCE), flow_created(other), allocated(OTHER_FLOW, ["secret"]), needs];
    given([init_flow(), secret.to_vec()].concat())
        .when_by(&access([]), post_one(FLOW, new_segment_with_init("o1", "secret", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownInitObject))
        .when_by(&access([]), post_one(FLOW, new_segment_with_init("o1", "o9", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownInitObject))
        .when_by(&news(&[Permission::Read]), post_one(FLOW, new_segment_with_init("o1", "secret", "[0:0_1:0)")))
        .then_holds(|state| listed(state, FLOW).len() == 1);
}

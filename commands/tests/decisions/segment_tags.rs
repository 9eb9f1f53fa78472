//! Tags of single segments.

use tapelog_commands::{Command, FlowProperty, Rejection, SegmentName, State, TagSegment, TagsChange};
use tapelog_events::{Event, Permission, Segment, SegmentTagged, TagValue, Tags};

use crate::harness::*;

fn tag(segment: SegmentName, change: TagsChange) -> Command {
    Command::TagSegment(TagSegment { flow_id: FLOW, segment, change })
}

fn at(start: &str) -> SegmentName {
    SegmentName::At(timestamp(start))
}

fn set_to(name: &str, value: &str) -> TagsChange {
    TagsChange::Set(name.to_owned(), TagValue::One(value.to_owned()))
}

fn tagged(start: &str, tags: Tags) -> Event {
    SegmentTagged { flow_id: FLOW, start: timestamp(start), tags }.into()
}

/// Ranges of the segments of [`FLOW`] that overlap a range and have tags.
fn listed_with_tags(state: &State, asked: &str) -> Vec<String> {
    let inventory = state.inventory();
    let slot = inventory.flow(FLOW).unwrap();
    inventory.tagged_segments(slot, &range(asked)).map(|(segment, _)| segment.timerange.to_string()).collect()
}

#[test]
fn tags_are_set_replaced_and_removed_and_the_flow_does_not_change() {
    given(flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]))
        .when(tag(at("1:0"), set_to("a", "1")))
        .then_events([tagged("1:0", tags([("a", "1")]))])
        .then_holds(|state| state.flow(FLOW).unwrap().segments_updated == Some(EARLIER))
        .when(tag(at("1:0"), set_to("a", "1")))
        .then_nothing_happens()
        .when(tag(SegmentName::Object(object("o2")), set_to("b", "2")))
        .then_events([tagged("1:0", tags([("a", "1"), ("b", "2")]))])
        .when(tag(at("1:0"), TagsChange::Remove("a".to_owned())))
        .then_events([tagged("1:0", tags([("b", "2")]))])
        .when(tag(at("1:0"), TagsChange::Remove("a".to_owned())))
        .then_rejected(Rejection::TagNotFound("a".to_owned()))
        .when(tag(at("1:0"), TagsChange::Replace(Tags::new())))
        .then_events([tagged("1:0", Tags::new())])
        .then_holds(|state| listed_with_tags(state, "_").is_empty());
}

#[test]
fn a_segment_is_named_by_its_start_or_by_an_object_that_it_alone_uses() {
    let again = Segment { ts_offset: timestamp("1:0"), ..stored_segment("o1", "[1:0_2:0)") };
    given([flow_with_segments(["[0:0_1:0)"]), vec![segments_added(FLOW, SOURCE, [again])]].concat())
        .when(tag(at("0:500000000"), set_to("a", "1")))
        .then_rejected(Rejection::SegmentNotFound(FLOW))
        .when(tag(SegmentName::Object(object("unknown")), set_to("a", "1")))
        .then_rejected(Rejection::SegmentNotFound(FLOW))
        .when(tag(SegmentName::Object(object("o1")), set_to("a", "1")))
        .then_rejected(Rejection::SegmentAmbiguous(object("o1")));
}

#[test]
fn tags_go_with_their_segment() {
    given(flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]))
        .when(tag(at("0:0"), set_to("a", "1")))
        .when(tag(at("1:0"), set_to("a", "1")))
        .then_holds(|state| listed_with_tags(state, "_") == ["[0:0_1:0)", "[1:0_2:0)"])
        .then_holds(|state| listed_with_tags(state, "[0:500000000_1:0)") == ["[0:0_1:0)"])
        .then_holds(|state| listed_with_tags(state, "()").is_empty())
        .when(delete_segments(FLOW, "[0:0_1:0)", None))
        .then_holds(|state| listed_with_tags(state, "_") == ["[1:0_2:0)"])
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_holds(|state| listed_with_tags(state, "_") == ["[1:0_2:0)"]);
}

#[test]
fn tagging_a_segment_changes_its_flow() {
    let mut flow = stored_flow(FLOW, SOURCE);
    flow.tags = of_class("news");
    let segments = segments_added(FLOW, SOURCE, [stored_segment("o1", "[0:0_1:0)")]);
    let command = || tag(at("0:0"), set_to("a", "1"));
    given(vec![source_created(SOURCE), flow_created(flow), segments])
        .when_by(&access([]), command())
        .then_rejected(Rejection::FlowNotFound(FLOW))
        .when_by(&access([("news", &[Permission::Read])]), command())
        .then_rejected(Rejection::Forbidden("change it".to_owned()))
        .when(set(FLOW, FlowProperty::ReadOnly(true)))
        .when(command())
        .then_rejected(Rejection::ReadOnly(FLOW));
}

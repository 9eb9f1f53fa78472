//! Profiles, webhooks, deletion requests and the trash (sections 1.7, 2.1, 2.2, 2.6).

use std::time::Duration;

use tapelog_commands::{
    AdvanceDeletion, Command, CreateProfile, CreateWebhook, DeleteSegments, FlowMetadata, Manner, Switch,
};
use tapelog_events::{
    AUTH_CLASSES, Access, Format, ProfileId, SealedSecret, TagValue, Tags, TechnicalMetadata, WebhookId,
};
use tapelog_projections::{
    DeletionSort, Direction, InvalidCursor, Paging, ProfileFilter, TagCondition, TagFilter, WebhookFilter,
};

use crate::scribe::{
    Scribe, delete_in, first_page, flow, metadata, patience, post_ranges, put, range, reader_of, reversed, source,
    technical, uuid,
};
use crate::step::subscription;

fn tags(name: &str, value: &str) -> Tags {
    [(name.to_owned(), TagValue::One(value.to_owned()))].into()
}

#[test]
fn profiles_are_listed_by_id_and_filtered_and_hidden() {
    let mut scribe = Scribe::new();
    let id = |number| ProfileId::from_uuid(uuid(number));
    for (number, label, codec, tags) in
        [(3, "a", "x/1", Tags::new()), (1, "a", "x/2", tags(AUTH_CLASSES, "news")), (2, "b", "x/1", Tags::new())]
    {
        scribe.write(Command::CreateProfile(Box::new(CreateProfile {
            profile_id: id(number),
            label: Some(label.to_owned()),
            description: None,
            tags,
            created_by: None,
            flow_metadata: TechnicalMetadata { codec: Some(codec.to_owned()), ..technical(Format::Data) },
        })));
    }
    let listed = |filter: &ProfileFilter, paging: &Paging<'_>| {
        let page = scribe.tables.profiles(filter, paging).unwrap();
        (page.items.iter().map(|profile| profile.id).collect::<Vec<_>>(), page.next)
    };
    let all = ProfileFilter::default;
    let (first, next) = listed(&all(), &first_page(2));
    assert_eq!(first, [1, 2].map(id));
    assert_eq!(listed(&all(), &Paging { cursor: next.as_deref(), ..first_page(2) }), (vec![id(3)], None));
    for (filter, expected) in [
        (ProfileFilter { label: Some("a".to_owned()), ..all() }, vec![1, 3]),
        (ProfileFilter { codec: Some("x/1".to_owned()), ..all() }, vec![2, 3]),
        (ProfileFilter { format: Some(Format::Video), ..all() }, vec![]),
        (ProfileFilter { access: reader_of("news"), ..all() }, vec![1, 2, 3]),
        (ProfileFilter { access: reader_of("sport"), ..all() }, vec![2, 3]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(id).collect();
        assert_eq!(listed(&filter, &first_page(9)).0, expected, "{filter:?}");
    }
    let of_webhooks = Paging { cursor: Some("dw"), ..first_page(1) };
    assert_eq!(scribe.tables.profiles(&all(), &of_webhooks).unwrap_err(), InvalidCursor);
}

#[test]
fn webhooks_are_listed_by_address_and_those_of_one_address_by_id() {
    let mut scribe = Scribe::new();
    let id = |number| WebhookId::from_uuid(uuid(number));
    for (number, url, tags) in [
        (1, "https://b.example", tags("k", "v")),
        (3, "https://a.example", tags(AUTH_CLASSES, "news")),
        (2, "https://a.example", tags("k", "w")),
    ] {
        let (webhook_id, subscription) = (id(number), subscription(url, tags));
        let signing_secret = SealedSecret { sealed: vec![0; 4] };
        let webhook = CreateWebhook { webhook_id, subscription, switch: Switch::On, signing_secret };
        scribe.write(Command::CreateWebhook(Box::new(webhook)));
    }
    let listed = |filter: &WebhookFilter, paging: &Paging<'_>| {
        let page = scribe.tables.webhooks(filter, paging).unwrap();
        (page.items.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = listed(&WebhookFilter::default(), &first_page(1));
    assert_eq!(first, [id(2)]);
    let rest = Paging { cursor: next.as_deref(), ..first_page(9) };
    assert_eq!(listed(&WebhookFilter::default(), &rest).0, [3, 1].map(id));
    assert_eq!(listed(&WebhookFilter::default(), &reversed(9)).0, [1, 3, 2].map(id));
    let sport = WebhookFilter { access: reader_of("sport"), ..WebhookFilter::default() };
    assert_eq!(listed(&sport, &first_page(9)).0, [2, 1].map(id));
    let tagged = TagFilter { name: "k".to_owned(), condition: TagCondition::AnyOf(vec!["v".to_owned()]) };
    assert_eq!(listed(&WebhookFilter { tags: vec![tagged], ..WebhookFilter::default() }, &first_page(9)).0, [id(1)]);
}

#[test]
fn deletions_without_an_expiry_come_after_the_others_and_before_them_when_reversed() {
    let mut scribe = Scribe::new();
    for number in 1..=3 {
        scribe.write(put(flow(number), metadata(source(1))));
        scribe.write(post_ranges(flow(number), &["[0:0_1:0)", "[1:0_2:0)"]));
        let (timerange, patience) = (range("_"), patience(1, number));
        let delete = DeleteSegments { flow_id: flow(number), timerange, object_id: None, patience };
        scribe.write(Command::DeleteSegments(delete));
    }
    let id = |number| patience(0, number).request_id;
    let advance = AdvanceDeletion { request_id: id(2), segments: 9, remember: Duration::from_secs(5) };
    scribe.write(Command::AdvanceDeletion(advance));
    for (sort, expected) in [(DeletionSort::Created, [3, 2, 1]), (DeletionSort::Expiry, [2, 1, 3])] {
        let mut expected = expected.map(id);
        let listed = |paging: &Paging<'_>| {
            let page = scribe.tables.deletions(sort, paging).unwrap();
            (page.items.iter().map(|request| request.id).collect::<Vec<_>>(), page.next)
        };
        let (first, next) = listed(&first_page(1));
        assert_eq!(first, expected[..1], "{sort:?}");
        assert_eq!(listed(&Paging { cursor: next.as_deref(), ..first_page(9) }).0, expected[1..], "{sort:?}");
        expected.reverse();
        assert_eq!(listed(&reversed(9)).0, expected, "{sort:?}");
    }
    assert!(scribe.tables.deletion(id(2)).is_some_and(|request| request.expiry.is_some()));
    assert_eq!(scribe.tables.deletion(id(9)), None);
}

#[test]
fn what_was_put_aside_is_listed_in_the_trash_alone_until_it_is_back() {
    let mut scribe = Scribe::new();
    let secret = FlowMetadata { tags: tags(AUTH_CLASSES, "news"), ..metadata(source(1)) };
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), secret));
    scribe.write(post_ranges(flow(1), &["[0:0_1:0)"]));
    scribe.write(delete_in(flow(1), Manner::Aside)).write(delete_in(flow(2), Manner::Aside));
    let trash = |scribe: &Scribe, access: &Access, direction| {
        let page = scribe.tables.trash(access, &Paging { direction, ..first_page(9) }).unwrap();
        page.items.iter().map(|trashed| trashed.flow.id).collect::<Vec<_>>()
    };
    assert_eq!(trash(&scribe, &Access::Unrestricted, Direction::Usual), [2, 1].map(flow));
    assert_eq!(trash(&scribe, &Access::Unrestricted, Direction::Reversed), [1, 2].map(flow));
    assert_eq!(trash(&scribe, &reader_of("sport"), Direction::Usual), [flow(1)]);
    assert!(scribe.tables.flow(flow(1)).is_none() && scribe.tables.source(source(1)).is_none());
    assert_eq!(scribe.tables.flow_range(flow(1), None), range("()"));

    scribe.write(Command::RestoreFlow(flow(1)));
    assert_eq!(trash(&scribe, &Access::Unrestricted, Direction::Usual), [flow(2)]);
    assert!(scribe.tables.flow(flow(1)).is_some() && scribe.tables.source(source(1)).is_some());
    assert_eq!(scribe.tables.flow_range(flow(1), None), range("[0:0_1:0)"));
}

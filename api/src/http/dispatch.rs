//! From a resource and a verb to the handler.

use super::call::Call;
use super::problem::Problem;
use super::response::Response;
use super::route::{BitRate, Part, Resource, Text, Verb};
use super::{
    account, audit, collection, content, deletion, delivery, events, flow, health, instance, metrics, object, openapi,
    profile, segment, segment_tags, service, signing, source, storage, tags, token, trash, webhook,
};

/// Answers a request whose route has this verb.
pub async fn dispatch(call: &Call<'_>, resource: Resource<'_>, verb: Verb) -> Result<Response, Problem> {
    use Resource as R;
    use Verb::{Delete, Get, Post, Put};
    let route = resource.route();
    match (resource, verb) {
        (R::Root, Get) => Ok(service::root()),
        (R::Service, Get) => service::get(call),
        (R::Service, Post) => service::post(call).await,
        (R::StorageBackends, Get) => Ok(service::storage_backends(call)),
        (R::Profiles, Get) => profile::list(call),
        (R::Profile(id), Get) => profile::get(call, id),
        (R::Profile(id), Post) => profile::create(call, id).await,
        (R::Webhooks, Get) => webhook::list(call),
        (R::Webhooks, Post) => webhook::create(call).await,
        (R::Webhook(id), Get) => webhook::get(call, id),
        (R::Webhook(id), Put) => webhook::put(call, id).await,
        (R::Webhook(id), Delete) => webhook::delete(call, id).await,
        (R::Delivery(id), Get) => delivery::state(call, id).await,
        (R::Deliveries(id), Get) => delivery::list(call, id).await,
        (R::DeadLetters(id), Get) => delivery::list_dead_letters(call, id),
        (R::DeadLetter(id, event), Get) => delivery::get_dead_letter(call, id, event),
        (R::DeadLetter(id, event), Delete) => delivery::discard(call, id, event).await,
        (R::Redelivery(id), Post) => delivery::redeliver(call, id).await,
        (R::Replay(id), Post) => delivery::replay(call, id).await,
        (R::Ping(id), Post) => delivery::ping(call, id).await,
        (R::SigningSecret(id), Get) => signing::get(call, id),
        (R::SigningSecret(id), Post) => signing::rotate(call, id).await,

        (R::Sources, Get) => source::list(call),
        (R::Sources, Post) => source::post_batch(call).await,
        (R::Source(id), Get) => source::get(call, id),
        (R::Source(id), Delete) => source::delete(call, id).await,
        (R::SourceTags(id), Get) => source::get_tags(call, id),
        (R::SourceTags(id), Put) => source::put_tags(call, id).await,
        (R::SourceTags(id), Delete) => source::delete_tags(call, id).await,
        (R::SourceTag(id, name), Get) => source::get_tag(call, id, &name),
        (R::SourceTag(id, name), Put) => source::put_tag(call, id, &name).await,
        (R::SourceTag(id, name), Delete) => source::delete_tag(call, id, &name).await,
        (R::SourceLabel(id), Get) => source::get_text(call, id, Text::Label),
        (R::SourceLabel(id), Put) => source::put_text(call, id, Text::Label).await,
        (R::SourceLabel(id), Delete) => source::delete_text(call, id, Text::Label).await,
        (R::SourceDescription(id), Get) => source::get_text(call, id, Text::Description),
        (R::SourceDescription(id), Put) => source::put_text(call, id, Text::Description).await,
        (R::SourceDescription(id), Delete) => source::delete_text(call, id, Text::Description).await,
        (R::SourceRestore(id), Post) => trash::restore_source(call, id).await,

        (R::Flows, Get) => flow::list(call),
        (R::Flows, Post) => flow::post_batch(call).await,
        (R::Flow(id), Get) => flow::get(call, id),
        (R::Flow(id), Put) => flow::put(call, id).await,
        (R::Flow(id), Delete) => flow::delete(call, id).await,
        (R::FlowTags(id), Get) => flow::get_tags(call, id),
        (R::FlowTags(id), Put) => flow::put_tags(call, id).await,
        (R::FlowTags(id), Delete) => flow::delete_tags(call, id).await,
        (R::FlowTag(id, name), Get) => flow::get_tag(call, id, &name),
        (R::FlowTag(id, name), Put) => flow::put_tag(call, id, &name).await,
        (R::FlowTag(id, name), Delete) => flow::delete_tag(call, id, &name).await,
        (R::FlowLabel(id), Get) => flow::get_text(call, id, Text::Label),
        (R::FlowLabel(id), Put) => flow::put_text(call, id, Text::Label).await,
        (R::FlowLabel(id), Delete) => flow::delete_text(call, id, Text::Label).await,
        (R::FlowDescription(id), Get) => flow::get_text(call, id, Text::Description),
        (R::FlowDescription(id), Put) => flow::put_text(call, id, Text::Description).await,
        (R::FlowDescription(id), Delete) => flow::delete_text(call, id, Text::Description).await,
        (R::ReadOnly(id), Get) => flow::get_read_only(call, id),
        (R::ReadOnly(id), Put) => flow::put_read_only(call, id).await,
        (R::FlowCollection(id), Get) => flow::get_collection(call, id),
        (R::FlowCollection(id), Put) => flow::put_collection(call, id).await,
        (R::FlowCollection(id), Delete) => flow::delete_collection(call, id).await,
        (R::MaxBitRate(id), Get) => flow::get_bit_rate(call, id, BitRate::Max),
        (R::MaxBitRate(id), Put) => flow::put_bit_rate(call, id, BitRate::Max).await,
        (R::MaxBitRate(id), Delete) => flow::delete_bit_rate(call, id, BitRate::Max).await,
        (R::AvgBitRate(id), Get) => flow::get_bit_rate(call, id, BitRate::Average),
        (R::AvgBitRate(id), Put) => flow::put_bit_rate(call, id, BitRate::Average).await,
        (R::AvgBitRate(id), Delete) => flow::delete_bit_rate(call, id, BitRate::Average).await,
        (R::FlowRestore(id), Post) => trash::restore_flow(call, id).await,
        (R::Segments(id), Get) => segment::list(call, id).await,
        (R::Segments(id), Post) => segment::post(call, id).await,
        (R::Segments(id), Delete) => segment::delete(call, id).await,
        (R::SegmentTags(id, segment), Get) => segment_tags::get_all(call, id, &segment),
        (R::SegmentTags(id, segment), Put) => segment_tags::put_all(call, id, segment).await,
        (R::SegmentTags(id, segment), Delete) => segment_tags::delete_all(call, id, segment).await,
        (R::SegmentTag(id, segment, name), Get) => segment_tags::get(call, id, &segment, &name),
        (R::SegmentTag(id, segment, name), Put) => segment_tags::put(call, id, segment, &name).await,
        (R::SegmentTag(id, segment, name), Delete) => segment_tags::delete(call, id, segment, &name).await,
        (R::Storage(id), Post) => storage::allocate(call, Some(id)).await,

        (R::Objects, Post) => storage::allocate(call, None).await,
        (R::Object(id), Get) => object::get(call, &id),
        (R::Object(id), Delete) => object::delete(call, id).await,
        (R::Content(id), Get) => content::get(call, &id),
        (R::Instances(id), Post) => instance::add(call, id).await,
        (R::Instances(id), Delete) => instance::remove(call, id).await,
        (R::DeletionRequests, Get) => deletion::list(call),
        (R::DeletionRequest(id), Get) => deletion::get(call, id),
        (R::Trash, Get) => trash::list(call),
        (R::TagNames, Get) => tags::names(call),
        (R::TagValues(name), Get) => tags::values(call, &name),
        (R::Collections, Get) => collection::list(call),
        (R::Collections, Post) => collection::create(call).await,
        (R::Collection(id), Get) => collection::get(call, id),
        (R::SourceCollections, Get) => collection::list_of_sources(call),
        (R::SourceCollections, Post) => collection::create_of_sources(call).await,
        (R::SourceCollection(id), Get) => collection::get_of_source(call, id),

        (R::Audit, Get) => audit::list(call).await,
        (R::AuditExport, Get) => audit::export(call).await,
        (R::AuditKey, Get) => Ok(audit::key(call)),

        (R::Events, Get) => events::get(call).await,
        (R::Token, Post) => token::post(call).await,
        (R::Me, Get) => Ok(account::me(call)),
        (R::Accounts, Get) => account::list(call),
        (R::Accounts, Post) => account::create(call).await,
        (R::Account(name), Get) => account::get(call, &name),
        (R::Account(name), Put) => account::put(call, name).await,
        (R::Account(name), Delete) => account::delete(call, name).await,
        (R::AccountTokens(name), Get) => account::list_tokens(call, &name),
        (R::AccountTokens(name), Post) => account::create_token(call, name).await,
        (R::AccountToken(name, id), Delete) => account::revoke_token(call, &name, id).await,
        (R::AuthenticationLog, Get) => account::log(call).await,

        (R::Alive, Get) => Ok(health::alive()),
        (R::Ready, Get) => Ok(health::ready(call).await),
        (R::Projections, Get) => Ok(health::projections(call).await),
        (R::Metrics, Get) => Ok(metrics::get(call.app).await),
        (R::OpenApi, Get) => Ok(openapi::document(call)),
        (R::Docs, Get) => Ok(openapi::page()),
        (_, Get | Put | Post | Delete) => Err(Problem::MethodNotAllowed { allow: route.allow(|_| true) }),
    }
}

/// What a client that knows only the specification is told where it has no such method. An extension on a path of the
/// specification answers like this unless the request asks for it beyond doubt.
pub fn not_in_tams(resource: &Resource<'_>) -> Problem {
    Problem::MethodNotAllowed { allow: resource.route().allow(|operation| operation.part == Part::Tams) }
}

//! What can be asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tapelog_events::{
    Access, AccountName, CollectionItem, CommitId, DeadLetter, DeletionRequestId, EventPosition, Failure, FlowId,
    FlowStatus, Instance, Instant, ObjectId, ProfileId, Resolution, Scope, SealedSecret, SegmentFailure, SourceId,
    StorageId, Subscription, TagValue, Tags, TechnicalMetadata, TimeRange, Timestamp, Token, TokenId, WebhookId,
};

/// A command with all that the outside world adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// Names the commit that may come of it. A UUIDv7.
    pub commit_id: CommitId,
    /// Who asks.
    pub actor: String,
    /// What they may do with resources of which classes.
    pub access: Arc<Access>,
    /// Names the request in logs and in the commit.
    pub request_id: Option<String>,
    /// What makes a repetition recognisable, where the client gave a key.
    pub idempotency: Option<IdempotencyKey>,
}

/// What makes a repetition of a request recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of who asks, for what, under which client's key.
    pub key: [u8; 32],
    /// Digest of the request.
    pub request: [u8; 32],
}

/// What a decision may know besides the state.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The moment of the decision.
    pub at: Instant,
    /// Who asks.
    pub actor: &'a str,
    /// What they may do with resources of which classes.
    pub access: &'a Access,
    /// Names the commit; also serves as the fresh `metadata_version`.
    pub commit_id: CommitId,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `POST /service`.
    UpdateService(UpdateService),
    /// `PUT /flows/{flowId}`.
    PutFlow(Box<PutFlow>),
    /// `PUT` or `DELETE` of one property of a Flow.
    SetFlowProperty(SetFlowProperty),
    /// `DELETE /flows/{flowId}`.
    DeleteFlow(DeleteFlow),
    /// `PUT` or `DELETE` of one property of a Source.
    SetSourceProperty(SetSourceProperty),
    /// `POST /flows/{flowId}/storage`.
    AllocateStorage(AllocateStorage),
    /// `POST /flows/{flowId}/segments`.
    PostSegments(PostSegments),
    /// `DELETE /flows/{flowId}/segments`.
    DeleteSegments(DeleteSegments),
    /// Changes several properties of a Source at once.
    EditSource(EditSource),
    /// Brings back a Flow that was put aside.
    RestoreFlow(FlowId),
    /// Deletes for good a Flow that was put aside.
    PurgeFlow(PurgeFlow),
    /// Changes the tags of one segment.
    TagSegment(TagSegment),
    /// `POST /service/profiles/{profileId}`.
    CreateProfile(Box<CreateProfile>),
    /// `POST /service/webhooks`.
    CreateWebhook(Box<CreateWebhook>),
    /// `PUT /service/webhooks/{webhookId}`.
    PutWebhook(Box<PutWebhook>),
    /// `DELETE /service/webhooks/{webhookId}`.
    DeleteWebhook(WebhookId),
    /// The notifications of a webhook are being delivered from now on.
    StartWebhook(WebhookId),
    /// The receiver of a webhook cannot be delivered to, for so long that the server gives it up.
    FailWebhook(FailWebhook),
    /// The receiver of a webhook refused one notification for good.
    PutDeadLetter(Box<DeadLetter>),
    /// Dead letters are to be tried once more.
    RedeliverDeadLetters(RedeliverDeadLetters),
    /// A dead letter is none any more.
    ResolveDeadLetter(ResolveDeadLetter),
    /// A webhook's notifications are to be delivered again.
    ReplayWebhook(ReplayWebhook),
    /// Another secret signs a webhook's notifications.
    RotateSigningSecret(RotateSigningSecret),
    /// Secrets of a webhook were sealed anew.
    ResealWebhook(ResealWebhook),
    /// `POST /objects/{objectId}/instances`.
    AddInstance(AddInstance),
    /// `DELETE /objects/{objectId}/instances`.
    RemoveInstance(RemoveInstance),
    /// A copy was made, or cannot be.
    FinishCopy(FinishCopy),
    /// The bytes of an instance that was removed are gone.
    FinishErasure(FinishErasure),
    /// Gives up objects that nothing refers to.
    CondemnObjects(CondemnObjects),
    /// Gives up one object at once.
    DeleteObject(ObjectId),
    /// Condemned objects are gone, with their bytes.
    ForgetObjects(Vec<ObjectId>),
    /// Goes on with a deletion.
    AdvanceDeletion(AdvanceDeletion),
    /// Forgets deletions that ended and have expired.
    ForgetDeletions(Vec<DeletionRequestId>),
    /// Makes or changes an account.
    SetAccount(SetAccount),
    /// Deletes an account with its tokens.
    DeleteAccount(AccountName),
    /// Gives out a token.
    IssueToken(IssueToken),
    /// Ends a token.
    RevokeToken(TokenId),
}

/// Names or describes the store; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateService {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
}

/// Creates a Flow or replaces all metadata that clients own (5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct PutFlow {
    /// The Flow.
    pub flow_id: FlowId,
    /// Whether it has to be new.
    pub expected: Expected,
    /// Its metadata.
    pub metadata: FlowMetadata,
}

/// The metadata of a Flow that clients own.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the field of `Flow` with its name")]
pub struct FlowMetadata {
    pub source_id: SourceId,
    pub label: Option<String>,
    pub description: Option<String>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
    pub tags: Tags,
    pub metadata_version: Option<String>,
    pub generation: Option<u64>,
    pub status: Option<FlowStatus>,
    pub read_only: Option<bool>,
    pub max_bit_rate: Option<u64>,
    pub flow_collection: Option<Vec<CollectionItem>>,
    pub technical: Technical,
}

/// Where the technical metadata of a Flow come from (5.5).
#[derive(Debug, Clone, PartialEq)]
pub enum Technical {
    /// From a profile.
    Profile(ProfileId),
    /// From the request.
    Own(Box<TechnicalMetadata>),
    /// From the request, which says that the Flow is no longer linked to a profile.
    Unlinked(Box<TechnicalMetadata>),
}

/// Changes one property of a Flow.
#[derive(Debug, Clone, PartialEq)]
pub struct SetFlowProperty {
    /// The Flow.
    pub flow_id: FlowId,
    /// The property with its new value.
    pub property: FlowProperty,
}

/// A property of a Flow with its new value; `None` unsets it.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowProperty {
    /// `label`.
    Label(Option<String>),
    /// `description`.
    Description(Option<String>),
    /// One tag: its name and value.
    Tag(String, Option<TagValue>),
    /// All tags.
    Tags(Tags),
    /// `read_only`, the one property of a locked Flow that may change.
    ReadOnly(bool),
    /// `flow_collection`.
    FlowCollection(Option<Vec<CollectionItem>>),
    /// `max_bit_rate`, in kbit/s.
    MaxBitRate(Option<u64>),
    /// `avg_bit_rate`, in kbit/s.
    AvgBitRate(Option<u64>),
}

/// Deletes a Flow with all its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteFlow {
    /// The Flow.
    pub flow_id: FlowId,
    /// Whether what depends on it may go or change with it.
    pub cascade: Cascade,
    /// Whether it may come back.
    pub manner: Manner,
    /// How much of it may go at once.
    pub patience: Patience,
}

/// Whether a deletion takes along what depends on the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cascade {
    /// It does.
    Yes,
    /// It is refused while anything depends on the resource.
    No,
}

/// Whether what is deleted may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It is gone.
    ForGood,
    /// It is put aside.
    Aside,
}

/// How much a deletion may do before it is answered; what is more goes on afterwards under a request (9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How many segments may go at once.
    pub segments: usize,
    /// Names the request, if it comes to one.
    pub request_id: DeletionRequestId,
}

/// Changes one property of a Source.
#[derive(Debug, Clone, PartialEq)]
pub struct SetSourceProperty {
    /// The Source.
    pub source_id: SourceId,
    /// The property with its new value.
    pub property: SourceProperty,
}

/// A property of a Source with its new value; `None` unsets it.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceProperty {
    /// `label`.
    Label(Option<String>),
    /// `description`.
    Description(Option<String>),
    /// One tag: its name and value.
    Tag(String, Option<TagValue>),
    /// All tags.
    Tags(Tags),
}

/// Gives out ids and places for objects to come (section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocateStorage {
    /// The Flow that will register them; any may where none is named.
    pub flow_id: Option<FlowId>,
    /// The ids.
    pub object_ids: Vec<ObjectId>,
    /// Who chose the ids.
    pub chosen_by: ChosenBy,
    /// Where their bytes will go.
    pub storage_id: StorageId,
    /// The tags of that backend, by which access to it is judged.
    pub storage_tags: Tags,
    /// The MIME type that they are uploaded with; the Flow's container unless given.
    pub content_type: Option<String>,
}

/// Who chose object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// The client named each.
    Client,
    /// The server made them up.
    Server,
}

/// Adds segments to a Flow. Each is judged on its own where the request is a list.
#[derive(Debug, Clone, PartialEq)]
pub struct PostSegments {
    /// The Flow.
    pub flow_id: FlowId,
    /// The segments, in the order of the request; an `Err` was refused when it was read.
    pub segments: Vec<Result<NewSegment, SegmentFailure>>,
    /// What a refused segment means to the request.
    pub shape: RequestShape,
    /// Labels of storage backends, which no uncontrolled instance may have.
    pub reserved_labels: Arc<[String]>,
}

/// Whether a request held one thing or a list of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestShape {
    /// One: its refusal is the request's.
    Single,
    /// A list: refusals are part of a successful answer.
    List,
}

/// A segment as a client posts it (`flow-segment-post.json`).
#[derive(Debug, Clone, PartialEq)]
pub struct NewSegment {
    /// See [`tapelog_events::Segment::object_id`].
    pub object_id: ObjectId,
    /// Finite, with an inclusive start, not empty.
    pub timerange: TimeRange,
    /// See [`tapelog_events::Segment::ts_offset`].
    pub ts_offset: Timestamp,
    /// Finite, with an inclusive start, not empty.
    pub object_timerange: Option<TimeRange>,
    /// Not negative.
    pub last_duration: Option<Timestamp>,
    /// Deprecated by TAMS 8.0, kept.
    pub sample_offset: Option<i64>,
    /// Deprecated by TAMS 8.0, kept.
    pub sample_count: Option<i64>,
    /// How many key frames the object has.
    pub key_frame_count: Option<u64>,
    /// The object without which this one cannot be decoded (5.6).
    pub init_object_id: Option<ObjectId>,
    /// Addresses of the object outside this store.
    pub get_urls: Vec<UncontrolledInstance>,
}

/// An address of an object outside this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncontrolledInstance {
    /// The address.
    pub url: String,
    /// Its name among the object's instances.
    pub label: String,
}

/// Deletes the segments that lie entirely inside a range (9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteSegments {
    /// The Flow.
    pub flow_id: FlowId,
    /// The range.
    pub timerange: TimeRange,
    /// Only those that use this object.
    pub object_id: Option<ObjectId>,
    /// How many may go at once.
    pub patience: Patience,
}

/// Changes a Source; what is absent stays.
#[derive(Debug, Clone, PartialEq)]
pub struct EditSource {
    /// The Source.
    pub source_id: SourceId,
    /// The new label.
    pub label: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new tags, all of them.
    pub tags: Option<Tags>,
}

/// Deletes for good a Flow that was put aside before a moment. One that is back, or was put aside later, stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeFlow {
    /// The Flow.
    pub flow_id: FlowId,
    /// The moment.
    pub before: Instant,
}

/// Changes the tags of one segment.
#[derive(Debug, Clone, PartialEq)]
pub struct TagSegment {
    /// The Flow.
    pub flow_id: FlowId,
    /// Which segment of it.
    pub segment: SegmentName,
    /// What becomes of its tags.
    pub change: TagsChange,
}

/// Names one segment of a Flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentName {
    /// The one that uses this object.
    Object(ObjectId),
    /// The one that starts where this range does.
    At(Timestamp),
}

/// What becomes of the tags of a segment.
#[derive(Debug, Clone, PartialEq)]
pub enum TagsChange {
    /// All are replaced.
    Replace(Tags),
    /// One is set.
    Set(String, TagValue),
    /// One is taken away.
    Remove(String),
}

/// Creates a profile, which never changes afterwards (5.5).
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the field of `Profile` with its name")]
pub struct CreateProfile {
    pub profile_id: ProfileId,
    pub label: Option<String>,
    pub description: Option<String>,
    pub tags: Tags,
    pub created_by: Option<String>,
    pub flow_metadata: TechnicalMetadata,
}

/// What a client may make of a webhook's status (12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Its notifications are delivered.
    On,
    /// They are not.
    Off,
}

/// Registers a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateWebhook {
    /// Names it.
    pub webhook_id: WebhookId,
    /// What is asked of it.
    pub subscription: Subscription,
    /// Its status.
    pub switch: Switch,
    /// With what its notifications are to be signed.
    pub signing_secret: SealedSecret,
}

/// Replaces a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct PutWebhook {
    /// Which.
    pub webhook_id: WebhookId,
    /// What is asked of it. Its key is that of `key`.
    pub subscription: Subscription,
    /// What becomes of its key.
    pub key: KeyChange,
    /// Its status.
    pub switch: Switch,
}

/// What becomes of a webhook's key, which clients cannot read and so not send back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// It stays.
    Keep,
    /// This takes its place.
    Set(SealedSecret),
    /// It goes.
    Remove,
}

/// Gives up a webhook that cannot be delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailWebhook {
    /// Which.
    pub webhook_id: WebhookId,
    /// Where its notifications went: one that was given another address meanwhile is not given up.
    pub url: String,
    /// Why.
    pub failure: Failure,
}

/// Asks for dead letters of a webhook to be tried once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeliverDeadLetters {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Which of them; all where none is named.
    pub positions: Vec<EventPosition>,
}

/// Ends a dead letter of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveDeadLetter {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its event.
    pub position: EventPosition,
    /// What became of it.
    pub resolution: Resolution,
}

/// Asks for a webhook's notifications to be delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayWebhook {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The first event to be delivered again.
    pub from: EventPosition,
}

/// Signs a webhook's notifications with another secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateSigningSecret {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The secret.
    pub secret: SealedSecret,
    /// For how long the one before signs as well.
    pub grace: Duration,
}

/// Puts secrets that were sealed with the store's present key in the place of the same ones sealed with an earlier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResealWebhook {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Each as it was, and as it is now.
    pub secrets: Vec<(SealedSecret, SealedSecret)>,
}

/// Gives an object one more instance (section 8).
#[derive(Debug, Clone, PartialEq)]
pub struct AddInstance {
    /// The object.
    pub object_id: ObjectId,
    /// The instance: a controlled one is a copy still to be made.
    pub instance: Instance,
    /// The tags of the storage backend of a controlled one, by which access to it is judged.
    pub storage_tags: Tags,
    /// Labels of storage backends, which no uncontrolled instance may have.
    pub reserved_labels: Arc<[String]>,
}

/// Takes one instance from an object (section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveInstance {
    /// The object.
    pub object_id: ObjectId,
    /// Which instance.
    pub instance: InstanceName,
}

/// Names one instance of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceName {
    /// The one on this storage backend.
    Controlled(StorageId),
    /// The uncontrolled one with this label.
    Label(String),
}

/// A copy was made, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishCopy {
    /// The object.
    pub object_id: ObjectId,
    /// The backend that the copy goes to.
    pub storage_id: StorageId,
    /// Why it cannot be made, in a sentence.
    pub result: Result<(), String>,
}

/// The bytes of an instance that was removed are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishErasure {
    /// The object.
    pub object_id: ObjectId,
    /// The backend.
    pub storage_id: StorageId,
}

/// Gives up those of these objects that nothing refers to, and has not for long enough (9.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondemnObjects {
    /// The objects.
    pub object_ids: Vec<ObjectId>,
    /// Objects that were allocated before this moment and never registered.
    pub unregistered_before: Instant,
    /// Objects whose last use ended before this moment.
    pub unreferenced_before: Instant,
}

/// Goes on with a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvanceDeletion {
    /// Which.
    pub request_id: DeletionRequestId,
    /// How many segments may go at once.
    pub segments: usize,
    /// How long an ended request is remembered.
    pub remember: Duration,
}

/// Makes or changes an account; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAccount {
    /// Which.
    pub name: AccountName,
    /// Who that is.
    pub label: Option<String>,
    /// The hash of the new password, in PHC form.
    pub password_hash: Option<String>,
    /// What its tokens may allow.
    pub scopes: Option<BTreeSet<Scope>>,
    /// What it may do with resources of which classes.
    pub access: Option<Access>,
    /// Whether it is locked out.
    pub disabled: Option<bool>,
    /// Whether it has to be there before, or must not be, or either.
    pub expected: Expected,
}

/// What is expected of a resource before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is not there.
    Absent,
    /// It is there.
    Present,
    /// Either.
    Any,
}

/// Gives out a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueToken {
    /// The token; its scopes are cut to those of its account.
    pub token: Token,
    /// The token that it takes the place of, which then holds no longer. Without it nothing is given out.
    pub replaces: Option<TokenId>,
}

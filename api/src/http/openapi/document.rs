//! Putting the document together.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operations::{Answer, Described, Repetition, operations};
use super::parameters;
use crate::http::as_of;
use crate::http::limits;
use crate::http::problem;
use crate::http::route::{BESIDE, Operation, Part, ROUTES, Rule, Verb};

/// The document, but for the URL of the server.
pub fn document() -> Value {
    // OpenAPI 3.1 has the schemas of this draft as they are.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES.iter().chain(BESIDE) {
        let mut path = Map::new();
        let in_path: Vec<_> = names_in(route.template).map(parameters::in_path).collect();
        if !in_path.is_empty() {
            path.insert("parameters".to_owned(), in_path.into());
        }
        for operation in route.operations {
            let found = operations()
                .find(|(template, described)| *template == route.template && described.verb == operation.verb);
            let Some((_, described)) = found else { continue };
            let has_path = names_in(route.template).next().is_some();
            let mut whole = describe(&mut generator, operation, described, has_path);
            if operation.verb == Verb::Get && as_of::TEMPLATES.contains(&route.template) {
                tell_of_the_past(&mut whole);
            }
            if operation.verb == Verb::Get {
                path.insert("head".to_owned(), without_bodies(&whole));
            }
            path.insert(method(operation.verb).to_owned(), whole);
        }
        paths.insert(route.template.to_owned(), path.into());
    }
    let problem = generator.subschema_for::<problem::Body<'static>>();
    // Parameters refer to these by name.
    generator.subschema_for::<tapelog_events::FlowId>();
    let ids = json!([
        generator.subschema_for::<tapelog_events::SourceId>(),
        generator.subschema_for::<tapelog_events::ObjectId>(),
        generator.subschema_for::<tapelog_events::ProfileId>(),
        generator.subschema_for::<tapelog_events::WebhookId>(),
        generator.subschema_for::<tapelog_events::DeletionRequestId>(),
        generator.subschema_for::<tapelog_events::TokenId>(),
        generator.subschema_for::<tapelog_events::AccountName>(),
    ]);
    drop(ids);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tapelog",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A time-addressable media store: the TAMS API 8.2, and extensions.",
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }, { "basic": [] }, { "url_token": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "headers": headers(),
            "parameters": { "Idempotency-Key": idempotency_key() },
            "responses": problems(&json!(problem)),
            "securitySchemes": security_schemes(),
        },
    })
}

const INTRODUCTION: &str = "Operations that the TAMS specification knows behave as it says. The others are extensions \
    of this server's and are marked with `x-tapelog-extension`; a client that does not ask for them never meets them. \
    Every answer from the tables has a `TAMS-Position`; sent back as `TAMS-Min-Position`, it makes any node wait until \
    it is as far. A write with an `Idempotency-Key` can be repeated without harm.";

const fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Put => "put",
        Verb::Post => "post",
        Verb::Delete => "delete",
    }
}

/// The names in braces of a template.
pub fn names_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'))
}

/// The past is asked for in the same way wherever it is told.
fn tell_of_the_past(operation: &mut Value) {
    match &mut operation["parameters"] {
        Value::Array(parameters) => parameters.push(parameters::AS_OF.describe()),
        none => *none = json!([parameters::AS_OF.describe()]),
    }
    operation["responses"]["400"] = json!({ "$ref": "#/components/responses/BadRequest" });
}

fn describe(generator: &mut SchemaGenerator, operation: &Operation, described: &Described, has_path: bool) -> Value {
    let mut responses = Map::new();
    for answer in described.answers {
        let (status, response) = success(generator, answer);
        responses.insert(status.to_string(), response);
    }
    let mut refuse = |status: &str, name: &str| {
        let response = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.entry(status.to_owned()).or_insert(response);
    };
    if described.body.is_some() || !described.query.is_empty() {
        refuse("400", "BadRequest");
    }
    if operation.rule != Rule::Public {
        refuse("401", "Unauthorized");
        refuse("403", "Forbidden");
    }
    if has_path {
        refuse("404", "NotFound");
    }
    if described.conflicts {
        refuse("409", "Conflict");
    }
    if described.body.is_some() {
        refuse("413", "TooLarge");
    }
    if operation.verb != Verb::Get && described.repetition == Repetition::Recognised {
        refuse("422", "KeyReused");
    }
    refuse("503", "Unavailable");
    let mut value = json!({
        "operationId": described.id,
        "summary": described.summary,
        "tags": [described.tag],
        "responses": responses,
    });
    if !described.text.is_empty() {
        value["description"] = described.text.into();
    }
    let mut parameters: Vec<_> = described.query.iter().map(|parameter| parameter.describe()).collect();
    if operation.verb != Verb::Get && described.repetition == Repetition::Recognised {
        parameters.push(json!({ "$ref": "#/components/parameters/Idempotency-Key" }));
    }
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if let Some(body) = &described.body {
        let content = match body.schema {
            Some(schema) => json!({ body.media_type: { "schema": schema(generator) } }),
            None => json!({ body.media_type: {} }),
        };
        value["requestBody"] = json!({ "required": body.required, "content": content });
    }
    match operation.rule {
        Rule::Public => value["security"] = json!([]),
        rule => value["x-tams-scope"] = rule.to_string().into(),
    }
    if operation.part == Part::Extension {
        value["x-tapelog-extension"] = true.into();
    }
    value
}

fn success(generator: &mut SchemaGenerator, answer: &Answer) -> (u16, Value) {
    let header = |names: &[&str]| -> Map<String, Value> {
        let each =
            names.iter().map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
        each.collect()
    };
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    match answer {
        Answer::Json(status, text, schema) => {
            let content = json_of(json!(schema(generator)));
            (*status, json!({ "description": text, "headers": header(&["TAMS-Position", "ETag"]), "content": content }))
        }
        Answer::Page(text, schema, names) => {
            let content = json_of(json!({ "type": "array", "items": schema(generator) }));
            (200, json!({ "description": text, "headers": header(names), "content": content }))
        }
        Answer::Accepted(text, schema) => {
            let content = json_of(json!(schema(generator)));
            let headers = header(&["Location", "TAMS-Position"]);
            (202, json!({ "description": text, "headers": headers, "content": content }))
        }
        Answer::Empty(status, text) => (*status, json!({ "description": text, "headers": header(&["TAMS-Position"]) })),
        Answer::Redirect(text) => (307, json!({ "description": text, "headers": header(&["Location"]) })),
        Answer::Other(text, media_type) => (200, json!({ "description": text, "content": { *media_type: {} } })),
    }
}

/// The same for `HEAD`.
fn without_bodies(operation: &Value) -> Value {
    let mut head = operation.clone();
    head["operationId"] = format!("head-{}", operation["operationId"].as_str().unwrap_or_default()).into();
    if let Some(responses) = head["responses"].as_object_mut() {
        for (status, response) in responses {
            // Problems are described once; that HEAD has no bodies goes without saying there.
            if status.starts_with('2')
                && let Some(response) = response.as_object_mut()
            {
                response.remove("content");
            }
        }
    }
    head
}

fn tags() -> Value {
    let names: BTreeSet<_> = operations().map(|(_, described)| described.tag).collect();
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn headers() -> Value {
    let header = |text: &str, schema: Value| json!({ "description": text, "schema": schema });
    let string = || json!({ "type": "string" });
    let integer = || json!({ "type": "integer" });
    json!({
        "TAMS-Position": header("The position in the log at which the answer is true.", string()),
        "ETag": header("Names this state of the answer, for `If-None-Match`.", string()),
        "Location": header("Where to look next.", json!({ "type": "string", "format": "uri" })),
        "Link": header("The next page, with `rel=\"next\"`; absent on the last one.", string()),
        "X-Paging-NextKey": header("The value of `page` for the next page.", string()),
        "X-Paging-Limit": header("How many items the page could have.", integer()),
        "X-Paging-Count": header("How many items it has.", integer()),
        "X-Paging-Reverse-Order": header("Whether it is in reverse order.", json!({ "type": "boolean" })),
        "X-Paging-Timerange": header("From the first segment of the page to its last.", string()),
        "Retry-After": header("Seconds after which to try again.", integer()),
        "WWW-Authenticate": header("How to say who asks.", string()),
    })
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Names this write. A repetition of it by the same client, within a day, is answered as the first \
            one was and not done again; another request to the same path under the same key is refused. What was \
            refused, or changed nothing, is not remembered and judged anew.",
        "schema": { "type": "string", "minLength": 1, "maxLength": limits::IDEMPOTENCY_KEY_BYTES },
    })
}

fn problems(problem: &Value) -> Value {
    let of = |text: &str, header: Option<&str>| {
        let mut response = json!({ "description": text, "content": { "application/json": { "schema": problem } } });
        if let Some(name) = header {
            response["headers"] = json!({ name: { "$ref": format!("#/components/headers/{name}") } });
        }
        response
    };
    json!({
        "BadRequest": of("A parameter or field is not as it must be; the text names it. Nothing was changed.", None),
        "Unauthorized": of("No credentials, or none that hold.", Some("WWW-Authenticate")),
        "Forbidden": of("The credentials do not allow it, or the flow is read-only.", None),
        "NotFound": of("What the path names is not there.", None),
        "Conflict": of("Something stands in the way.", None),
        "TooLarge": of("The body is too large.", None),
        "KeyReused": of("The `Idempotency-Key` was used before, for another request.", None),
        "Unavailable": of("A part of the server cannot be reached. Nothing acknowledged is lost.", Some("Retry-After")),
    })
}

fn security_schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token of an issuer or of this server." },
        "basic": { "type": "http", "scheme": "basic", "description": "An account and its password, or a token." },
        "url_token": { "type": "apiKey", "in": "query", "name": "access_token", "description": "A token in the URL." },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_nothing_else() {
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .chain(BESIDE)
            .flat_map(|route| route.operations.iter().map(|operation| (route.template, method(operation.verb))))
            .collect();
        let described: BTreeSet<_> =
            operations().map(|(template, described)| (*template, method(described.verb))).collect();
        assert_eq!(routes, described);
        assert_eq!(described.len(), operations().count(), "one is described twice");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => members.iter().for_each(|(name, member)| match (name.as_str(), member) {
                    ("$ref", Value::String(target)) => found.push(target),
                    _ => references(member, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in found {
            assert!(document.pointer(target.strip_prefix('#').unwrap()).is_some(), "{target}");
        }
        let operations = document["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|path| path.as_object().unwrap().values());
        let names: Vec<_> = operations.filter_map(|operation| operation.get("operationId")).collect();
        assert_eq!(names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>().len(), names.len());
    }
}

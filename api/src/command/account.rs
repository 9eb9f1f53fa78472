//! `tapelog account`: accounts and tokens, by way of the server that runs on the data folder, or any other.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tapelog_events::{AccountName, Instant, Scope, TokenId};

use super::server::{Server, ServerArgs, answered, next_page};

/// Arguments of `tapelog account`.
#[derive(Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Subcommand)]
enum Action {
    /// Make an account
    Add {
        /// Its name
        name: AccountName,
        #[command(flatten)]
        change: Change,
    },
    /// Change an account; what is not given stays
    Set {
        /// Its name
        name: AccountName,
        #[command(flatten)]
        change: Change,
    },
    /// List the accounts
    List,
    /// Lock an account out
    Disable {
        /// Its name
        name: AccountName,
    },
    /// Let an account in again
    Enable {
        /// Its name
        name: AccountName,
    },
    /// Delete an account with its tokens
    Delete {
        /// Its name
        name: AccountName,
    },
    /// Give out a token, which is printed and can be seen only now
    Token {
        /// The account
        name: AccountName,
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// What it allows [default: all that the account may]
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<Scope>,
        /// Days for which it holds [default: until it is revoked]
        #[arg(long)]
        days: Option<u32>,
    },
    /// List the tokens of an account
    Tokens {
        /// The account
        name: AccountName,
    },
    /// End a token
    Revoke {
        /// The account
        name: AccountName,
        /// The token, by its id
        id: TokenId,
    },
}

/// What becomes of an account.
#[derive(Args)]
struct Change {
    /// Who it is, for people
    #[arg(long)]
    label: Option<String>,
    /// What its tokens may allow: read, write, delete, audit, admin
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// A class of resources (`auth_classes`) and what may be done with it, such as news:read,write; once for each
    #[arg(long = "class", value_name = "CLASS:PERMISSION,…")]
    classes: Vec<String>,
    /// Read the password from standard input
    #[arg(long)]
    password: bool,
}

fn scope(text: &str) -> Result<Scope, String> {
    let whole = if text.contains('/') { text.to_owned() } else { format!("tams-api/{text}") };
    whole.parse().map_err(|_| "not one of read, write, delete, audit, admin".to_owned())
}

impl Change {
    fn body(&self) -> Result<Value> {
        let mut body = json!({});
        if let Some(label) = &self.label {
            body["label"] = json!(label);
        }
        if !self.scopes.is_empty() {
            body["scopes"] = self.scopes.iter().map(|scope| scope.as_str()).collect();
        }
        if !self.classes.is_empty() {
            let class = |text: &String| -> Result<(String, Vec<String>)> {
                let (class, permissions) = text.rsplit_once(':').context("a class is given as CLASS:PERMISSION,…")?;
                Ok((class.to_owned(), permissions.split(',').map(str::to_owned).collect()))
            };
            body["classes"] = json!(self.classes.iter().map(class).collect::<Result<BTreeMap<_, _>>>()?);
        }
        if self.password {
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password)?;
            body["password"] = json!(password.trim_end_matches(['\r', '\n']));
        }
        Ok(body)
    }
}

/// Does what is asked for, and prints what came of it.
pub async fn run(args: AccountArgs) -> Result<ExitCode> {
    let server = Accounts(Server::find(&args.server)?);
    match &args.action {
        Action::Add { name, change } => {
            let mut body = change.body()?;
            body["name"] = json!(name.as_str());
            show(&[server.send(Method::POST, "", Some(body)).await?])?;
        }
        Action::Set { name, change } => show(&[server.put(name, change.body()?).await?])?,
        Action::List => show(&server.list("").await?)?,
        Action::Disable { name } => show(&[server.put(name, json!({"disabled": true})).await?])?,
        Action::Enable { name } => show(&[server.put(name, json!({"disabled": false})).await?])?,
        Action::Delete { name } => drop(server.send(Method::DELETE, &format!("/{name}"), None).await?),
        Action::Token { name, label, scopes, days } => {
            let mut body = json!({ "label": label });
            if !scopes.is_empty() {
                body["scopes"] = scopes.iter().map(|scope| scope.as_str()).collect();
            }
            if let Some(days) = days {
                let expires = SystemTime::now() + Duration::from_secs(u64::from(*days) * 86_400);
                body["expires"] = json!(Instant::from(expires));
            }
            let token = server.send(Method::POST, &format!("/{name}/tokens"), Some(body)).await?;
            let text = token["token"].as_str().context("the server gave no token")?;
            writeln!(std::io::stdout(), "{text}")?;
        }
        Action::Tokens { name } => show(&server.list(&format!("/{name}/tokens")).await?)?,
        Action::Revoke { name, id } => drop(server.send(Method::DELETE, &format!("/{name}/tokens/{id}"), None).await?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints each as a line of JSON.
fn show(items: &[Value]) -> Result<()> {
    let mut out = std::io::stdout();
    for item in items {
        writeln!(out, "{item}")?;
    }
    Ok(())
}

/// The accounts of a server.
struct Accounts(Server);

impl Accounts {
    async fn put(&self, name: &AccountName, body: Value) -> Result<Value> {
        self.send(Method::PUT, &format!("/{name}"), Some(body)).await
    }

    /// All items of a list, page by page.
    async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (mut items, mut page) = (Vec::new(), None);
        loop {
            let query = page.map(|page: String| format!("?page={page}")).unwrap_or_default();
            let response = answered(self.request(Method::GET, &format!("{path}{query}"))).await?;
            let next = next_page(&response);
            items.extend(response.json::<Vec<Value>>().await?);
            let Some(next) = next else { return Ok(items) };
            page = Some(next);
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.request(method, path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let bytes = answered(request).await?.bytes().await?;
        if bytes.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&bytes)?) }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0.request(method, &format!("/auth/accounts{path}"))
    }
}

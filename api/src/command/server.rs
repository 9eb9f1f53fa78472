//! A server that a command talks to: the one that runs on a data folder, or any other.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tapelog_api::auth::local_token;
use tapelog_api::claim::{Asked, Claim};
use tapelog_api::settings::{DataFolder, SettingsArgs};
use tapelog_media::client::http_client;
use url::{Url, form_urlencoded};

/// Which server is meant.
#[derive(Args)]
pub struct ServerArgs {
    /// Base URL of the server [default: the one that runs on the data folder]
    #[arg(long, requires = "token", global = true)]
    url: Option<Url>,
    /// Token with the scope that is needed
    #[arg(long, env = "TAMS_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// Data folder of the server
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// A server, and what lets in there.
pub struct Server {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Server {
    /// The server that is meant.
    pub fn find(args: &ServerArgs) -> Result<Self> {
        let http = http_client();
        if let (Some(url), Some(token)) = (&args.url, &args.token) {
            return Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), token: token.clone(), http });
        }
        let settings = SettingsArgs { data: args.data.clone(), ..SettingsArgs::default() }.settings()?;
        let data = DataFolder::open(&settings.data)?;
        match Claim::ask(&data.lock())? {
            Asked::Ours(_) => bail!("no server runs on this data folder: start it, or name one by --url and --token"),
            Asked::Taken(owner) => {
                let url = owner.url.with_context(|| format!("process {} is starting up; try again", owner.pid))?;
                Ok(Self { url, token: local_token(&data.local_token())?, http })
            }
        }
    }

    /// A request for what a path of the API has, with these parameters.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.request(Method::GET, &format!("{path}?{query}"))
    }

    /// A request for a path of the API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}

/// The answer, if it is one of success.
pub async fn answered(request: RequestBuilder) -> Result<reqwest::Response> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    bail!("{}", body["message"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned))
}

/// Where the next page of a list begins, if there is one.
pub fn next_page(response: &reqwest::Response) -> Option<String> {
    response.headers().get("x-paging-nextkey").and_then(|key| key.to_str().ok()).map(str::to_owned)
}

//! Whoever sends a request, once that is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use tapelog_events::{Access, Account, Scope};

use crate::http::route::Rule;

/// Whoever sends a request, once that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// Names them in commits, `created_by` and `updated_by`.
    pub name: Arc<str>,
    /// What they may do over the whole store.
    pub scopes: BTreeSet<Scope>,
    /// What they may do with resources of which classes.
    pub access: Arc<Access>,
}

impl Principal {
    /// Somebody who may do this over the whole store, and that with resources. Administrators pass everywhere (14.1).
    pub fn new(name: Arc<str>, scopes: BTreeSet<Scope>, access: Access) -> Self {
        let access = if scopes.contains(&Scope::Admin) { Access::Unrestricted } else { access };
        Self { name, scopes, access: Arc::new(access) }
    }

    /// The holder of an account, by something that allows no more than this.
    pub fn of_account(account: &Account, scopes: &BTreeSet<Scope>) -> Self {
        let allowed = |scope: &&Scope| account.scopes.contains(scope) || account.scopes.contains(&Scope::Admin);
        let scopes = scopes.iter().filter(allowed).copied().collect();
        Self::new(account.name.as_str().into(), scopes, account.access.clone())
    }

    /// Everybody, where requests need no credentials.
    pub fn anonymous() -> Self {
        Self::new("anonymous".into(), Scope::ALL.into(), Access::Unrestricted)
    }

    /// Somebody unknown, for what needs no credentials.
    pub fn nobody() -> Self {
        Self::new("nobody".into(), BTreeSet::new(), Access::Unrestricted)
    }

    /// Whoever may read the data folder of the server.
    pub fn local() -> Self {
        Self::new("local".into(), Scope::ALL.into(), Access::Unrestricted)
    }

    /// Whether a rule lets them through.
    pub fn satisfies(&self, rule: Rule) -> bool {
        let has = |scope| self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin);
        match rule {
            Rule::Public => true,
            Rule::Known => Scope::ALL.into_iter().any(has),
            Rule::Read => has(Scope::Read),
            Rule::Write => has(Scope::Write),
            Rule::Delete => has(Scope::Delete),
            Rule::Audit => has(Scope::Audit),
            Rule::Admin => has(Scope::Admin),
        }
    }
}

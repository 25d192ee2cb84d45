//! Who may use which route: one table.
//!
//! Invariant: a route that is not in the table is closed to everybody.

use axum::http::Method;

use super::tokens::Role;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody, without a token.
    Open,
    /// Every role.
    Read,
    /// Who hands in holders' orders.
    Trade,
    /// The operator alone.
    Operate,
}

impl Access {
    pub const fn permits(self, role: Role) -> bool {
        match (self, role) {
            (Self::Open | Self::Read, Role::Operator | Role::Trader | Role::Auditor) => true,
            (Self::Trade, Role::Operator | Role::Trader) => true,
            (Self::Trade, Role::Auditor) => false,
            (Self::Operate, Role::Operator) => true,
            (Self::Operate, Role::Trader | Role::Auditor) => false,
        }
    }

    /// The roles that it permits, for people.
    pub const fn roles(self) -> &'static str {
        match self {
            Self::Open => "none needed",
            Self::Read => "operator, trader or auditor",
            Self::Trade => "operator or trader",
            Self::Operate => "operator",
        }
    }
}

use Access::{Open, Operate, Read, Trade};

/// Every route.
pub(super) const TABLE: &[(Method, &str, Access)] = &[
    (Method::GET, "/livez", Open),
    (Method::GET, "/readyz", Open),
    (Method::GET, "/metrics", Open),
    (Method::GET, "/v1/openapi.json", Open),
    (Method::GET, "/v1/status", Read),
    (Method::GET, "/v1/log/head", Read),
    (Method::GET, "/v1/log/checkpoints/{height}", Read),
    (Method::GET, "/v1/ledgers", Read),
    (Method::POST, "/v1/ledgers", Operate),
    (Method::GET, "/v1/ledgers/{ledger}", Read),
    (Method::GET, "/v1/ledgers/{ledger}/entries", Read),
    (Method::GET, "/v1/ledgers/{ledger}/entries/{sequence}/evidence", Read),
    (Method::POST, "/v1/ledgers/{ledger}/freeze", Operate),
    (Method::POST, "/v1/ledgers/{ledger}/unfreeze", Operate),
    (Method::GET, "/v1/ledgers/{ledger}/identity", Operate),
    (Method::PUT, "/v1/ledgers/{ledger}/identity", Operate),
    (Method::GET, "/v1/names/{holder}", Read),
    (Method::GET, "/v1/travel-rule", Read),
    (Method::PUT, "/v1/travel-rule/{asset}", Operate),
    (Method::DELETE, "/v1/travel-rule/{asset}", Operate),
    (Method::POST, "/v1/ledgers/{ledger}/replace-key", Operate),
    (Method::GET, "/v1/assets", Read),
    (Method::POST, "/v1/assets", Operate),
    (Method::GET, "/v1/assets/{asset}", Read),
    (Method::GET, "/v1/assets/{asset}/providers", Read),
    (Method::POST, "/v1/assets/{asset}/fetch", Operate),
    (Method::POST, "/v1/assets/{asset}/issue", Operate),
    (Method::POST, "/v1/assets/{asset}/lock", Operate),
    (Method::POST, "/v1/assets/{asset}/unlock", Operate),
    (Method::POST, "/v1/assets/{asset}/close", Operate),
    (Method::POST, "/v1/assets/{asset}/attest", Operate),
    (Method::GET, "/v1/assets/{asset}/attestation", Read),
    (Method::POST, "/v1/orders", Trade),
    (Method::POST, "/v1/orders/batch", Trade),
    (Method::GET, "/v1/orders/{order}", Read),
    (Method::GET, "/v1/orders/{order}/evidence", Read),
    (Method::GET, "/v1/offers", Read),
    (Method::GET, "/v1/offers/{offer}", Read),
    (Method::GET, "/v1/book", Read),
    (Method::GET, "/v1/settlements", Read),
    (Method::GET, "/v1/settlements/{settlement}", Read),
    (Method::GET, "/v1/settlements/{settlement}/evidence", Read),
    (Method::GET, "/v1/evidence/{height}/{leaf}", Read),
    (Method::GET, "/v1/peers", Read),
    (Method::GET, "/v1/peers/{domain}", Read),
    (Method::POST, "/v1/peers/{domain}/lift", Operate),
    (Method::GET, "/v1/trust", Read),
    (Method::PUT, "/v1/trust/{domain}/{asset}", Operate),
    (Method::DELETE, "/v1/trust/{domain}/{asset}", Operate),
    (Method::GET, "/v1/members", Read),
    (Method::GET, "/v1/gateways/{domain}", Read),
    (Method::GET, "/v1/positions", Read),
    (Method::POST, "/v1/positions/{domain}/{asset}/explain", Operate),
    (Method::GET, "/v1/standings", Read),
    (Method::PUT, "/v1/netting", Operate),
    (Method::POST, "/v1/netting", Operate),
    (Method::POST, "/v1/settle-up", Operate),
    (Method::POST, "/v1/payments", Trade),
    (Method::GET, "/v1/payments/{order}", Read),
    (Method::GET, "/v1/paths", Read),
    (Method::GET, "/v1/correspondents", Read),
    (Method::PUT, "/v1/correspondents/transit", Operate),
    (Method::PUT, "/v1/correspondents/fees/{asset}", Operate),
    (Method::POST, "/v1/drain", Operate),
    (Method::POST, "/v1/undrain", Operate),
    (Method::PUT, "/v1/log-level", Operate),
    (Method::GET, "/v1/recovery", Read),
    (Method::POST, "/v1/recovery/evidence", Operate),
    (Method::POST, "/v1/recovery/give-up/{domain}", Operate),
    (Method::POST, "/v1/recovery/customers-heard", Operate),
    (Method::GET, "/v1/events", Read),
    (Method::GET, "/v1/subscriptions", Operate),
    (Method::POST, "/v1/subscriptions", Operate),
    (Method::DELETE, "/v1/subscriptions/{subscription}", Operate),
    (Method::POST, "/v1/subscriptions/{subscription}/resume", Operate),
    (Method::POST, "/v1/subscriptions/{subscription}/test", Operate),
];

/// Who may use this route with this method; `None` when it is not in the table.
pub(super) fn access_to(method: &Method, path: &str) -> Option<Access> {
    // What may be read may be asked for without its body.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    TABLE.iter().find(|(known, route, _)| known == method && *route == path).map(|row| row.2)
}

/// The methods that a path has, and HEAD where there is GET.
pub(super) fn methods_of(path: &str) -> Vec<String> {
    let rows = TABLE.iter().filter(|(_, route, _)| *route == path);
    let mut methods: Vec<String> = rows.map(|(method, ..)| method.to_string()).collect();
    if methods.iter().any(|method| method == "GET") {
        methods.push("HEAD".to_owned());
    }
    methods
}

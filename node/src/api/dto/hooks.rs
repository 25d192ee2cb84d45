//! Subscriptions of other systems.

use quadrille_protocol::types::{Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EventKind;

/// A subscription to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubscription {
    /// Where events are posted to. Plain HTTP and addresses that are not public only where the
    /// node's operator allows them.
    #[schema(example = "https://desk.example/quadrille")]
    pub url: String,
    /// Only these types; all that come from the log when there are none. Live types (`offer.seen`,
    /// `offer.gone`) are posted once each: what is not taken is lost.
    #[serde(default)]
    pub types: Vec<String>,
    /// Only events of this ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ledger: Option<Ubi>,
    /// Only events of offers that give this asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub give: Option<Uai>,
    /// Only events of offers that want this asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub want: Option<Uai>,
    /// Begin after the event with this id; `0.0.0` for the beginning of the log. From now on when
    /// it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The secret under which deliveries are signed, 24 to 256 visible characters; a new one when
    /// it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// How a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionState {
    /// Its events are taken.
    Active,
    /// Its next event is not taken and tried again.
    Failing,
    /// Nothing is sent until it is resumed; then it goes on where it was.
    Paused,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionView {
    /// Its name.
    #[schema(example = "h-0a1b2c3d")]
    pub id: String,
    /// Where events are posted to.
    pub url: String,
    /// Which types; all of the log when there are none.
    pub types: Vec<EventKind>,
    /// Of which ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ledger: Option<Ubi>,
    /// Of offers that give this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub give: Option<Uai>,
    /// Of offers that want this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub want: Option<Uai>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: Time,
    /// How it is.
    pub state: SubscriptionState,
    /// The last event that was taken, or passed over.
    pub after: String,
    /// Since when the next one is not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub failing_since: Option<Time>,
    /// How often the next one was tried.
    pub attempts: u32,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The secret, in the answer that made it and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

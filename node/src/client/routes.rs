//! The routes of the interface, one method each, in the order of its document.

use quadrille_protocol::codec;
use quadrille_protocol::ledger::{SignedOpening, SignedOrder, SignedReplacement};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{
    Amount, Detail, Domain, Height, Holder, OrderId, Sequence, SettlementId, Uai, Ubi,
};

use reqwest::Method;

use super::{Client, ClientError};
use crate::api::dto::{
    Armour, AssetView, BookEntry, CheckpointView, CorrespondentsView, EntryView, Explanation,
    FeeView, GatewayView, HandedIn, IdentityReceipt, IdentityView, Issue, LedgerSummary,
    LedgerView, LogHead, LogLevel, MemberView, NameView, NettingRequest, NettingSwitch,
    NettingView, NewAsset, NewLedger, NewPayment, NewSubscription, OfferView, OrderBatch,
    OrderBatchAnswer, OrderView, PathView, PaymentView, PeerView, PositionView, Providers, Receipt,
    RecoveryView, SettleUp, SettlementState, SettlementSummary, SettlementView, SignedBytes,
    StandingsView, Status, SubscriptionView, TransitLedger, TravelRuleView, TravelThreshold,
    TrustLimit, TrustLine,
};

type Answer<T> = Result<T, ClientError>;

fn text(id: &impl ToString) -> String {
    id.to_string()
}

impl Client {
    /// Whether the node is ready for business; if not, why.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::Refused`] says why it is not ready.
    pub async fn ready(&self) -> Answer<()> {
        self.call(Method::GET, &["readyz"]).send(Some(self.timeout)).await.map(|_| ())
    }

    /// How the node is.
    ///
    /// # Errors
    /// See [`ClientError`]; so for all below.
    pub async fn status(&self) -> Answer<Status> {
        self.get(&["v1", "status"]).await
    }

    /// What the node counts, as text (OpenMetrics).
    pub async fn metrics(&self) -> Answer<String> {
        self.call(Method::GET, &["metrics"]).text().await
    }

    /// The last checkpoint.
    pub async fn log_head(&self) -> Answer<LogHead> {
        self.get(&["v1", "log", "head"]).await
    }

    /// The checkpoint at a height.
    pub async fn checkpoint(&self, height: Height) -> Answer<CheckpointView> {
        self.get(&["v1", "log", "checkpoints", &text(&height)]).await
    }

    /// Opens a ledger: the bank's approval of a holder's signed opening.
    pub async fn open_ledger(&self, opening: &SignedOpening) -> Answer<Receipt> {
        self.open_ledger_of(opening, None).await
    }

    /// As [`Client::open_ledger`], with the holder's data where the opening names their hash.
    pub async fn open_ledger_of(
        &self,
        opening: &SignedOpening,
        identity: Option<IdentityView>,
    ) -> Answer<Receipt> {
        let body = NewLedger { bytes: hex::encode(codec::encode(opening)), identity };
        self.call(Method::POST, &["v1", "ledgers"]).body(&body).answer().await
    }

    /// Ledgers, of one holder where one is named.
    pub async fn ledgers(
        &self,
        holder: Option<&Holder>,
        most: usize,
    ) -> Answer<Vec<LedgerSummary>> {
        let query: Vec<_> = holder.map(|holder| ("holder", text(holder))).into_iter().collect();
        self.list(&["v1", "ledgers"], &query, most).await
    }

    /// A ledger.
    pub async fn ledger(&self, ledger: &Ubi) -> Answer<LedgerView> {
        self.get(&["v1", "ledgers", &text(ledger)]).await
    }

    /// A ledger's entries.
    pub async fn entries(&self, ledger: &Ubi, most: usize) -> Answer<Vec<EntryView>> {
        self.list(&["v1", "ledgers", &text(ledger), "entries"], &[], most).await
    }

    /// The proof of a ledger's entry.
    pub async fn entry_evidence(&self, ledger: &Ubi, sequence: Sequence) -> Answer<Armour> {
        let (ledger, sequence) = (text(ledger), text(&sequence));
        self.get(&["v1", "ledgers", &ledger, "entries", &sequence, "evidence"]).await
    }

    /// Freezes a ledger, or lifts that.
    pub async fn freeze(&self, ledger: &Ubi, frozen: bool, id: &str) -> Answer<Receipt> {
        let verb = if frozen { "freeze" } else { "unfreeze" };
        self.call(Method::POST, &["v1", "ledgers", &text(ledger), verb]).once(id).answer().await
    }

    /// The personal data of a ledger's holder.
    pub async fn identity(&self, ledger: &Ubi) -> Answer<IdentityView> {
        self.get(&["v1", "ledgers", &text(ledger), "identity"]).await
    }

    /// Puts the data of a ledger's holder back into the node's vault.
    pub async fn restore_identity(
        &self,
        ledger: &Ubi,
        identity: &IdentityView,
    ) -> Answer<IdentityReceipt> {
        let path = ["v1", "ledgers", &text(ledger), "identity"];
        self.call(Method::PUT, &path).body(identity).answer().await
    }

    /// What a holder's bank says of the name. With `fresh` it is asked again.
    pub async fn name(
        &self,
        holder: &Holder,
        asset: Option<&Uai>,
        fresh: bool,
    ) -> Answer<NameView> {
        let mut call = self.call(Method::GET, &["v1", "names", &text(holder)]);
        if let Some(asset) = asset {
            call = call.query("asset", &text(asset));
        }
        call.query("fresh", if fresh { "true" } else { "false" }).answer().await
    }

    /// From which amounts on payments need the travel rule's data.
    pub async fn travel_rules(&self) -> Answer<Vec<TravelRuleView>> {
        self.get(&["v1", "travel-rule"]).await
    }

    /// Asks for the travel rule's data from an amount on; `None` for never.
    pub async fn set_travel_rule(&self, asset: &Uai, from: Option<Amount>) -> Answer<Receipt> {
        let path = ["v1", "travel-rule", &text(asset)];
        match from {
            Some(from) => {
                self.call(Method::PUT, &path).body(&TravelThreshold { from }).answer().await
            }
            None => self.call(Method::DELETE, &path).answer().await,
        }
    }

    /// Registers an asset of another issuer with the profile that the issuer gives.
    pub async fn fetch_asset(&self, asset: &Uai) -> Answer<AssetView> {
        self.call(Method::POST, &["v1", "assets", &text(asset), "fetch"]).answer().await
    }

    /// Gives a ledger another key, because its holder has lost it.
    pub async fn replace_key(
        &self,
        signed: &SignedReplacement,
        reason: &str,
        id: &str,
    ) -> Answer<Receipt> {
        let path = ["v1", "ledgers", &text(&signed.replacement.ledger), "replace-key"];
        let bytes = hex::encode(codec::encode(signed));
        let body = serde_json::json!({ "bytes": bytes, "reason": reason });
        self.call(Method::POST, &path).once(id).body(&body).answer().await
    }

    /// Assets.
    pub async fn assets(&self, most: usize) -> Answer<Vec<AssetView>> {
        self.list(&["v1", "assets"], &[], most).await
    }

    /// An asset, with what of it is on the node.
    pub async fn asset(&self, asset: &Uai) -> Answer<AssetView> {
        let call = self.call(Method::GET, &["v1", "assets", &text(asset)]);
        call.query("holdings", "true").answer().await
    }

    /// Registers an asset; the answer is how it is known now.
    pub async fn register_asset(&self, asset: &NewAsset, id: &str) -> Answer<AssetView> {
        self.call(Method::POST, &["v1", "assets"]).once(id).body(asset).answer().await
    }

    /// Puts an asset of the node's domain into circulation.
    pub async fn issue(
        &self,
        asset: &Uai,
        ledger: Ubi,
        amount: Amount,
        id: &str,
    ) -> Answer<Receipt> {
        let path = ["v1", "assets", &text(asset), "issue"];
        self.call(Method::POST, &path).once(id).body(&Issue { ledger, amount }).answer().await
    }

    /// Locks an asset of the node's domain, or lifts that.
    pub async fn lock_asset(&self, asset: &Uai, locked: bool, id: &str) -> Answer<Receipt> {
        let verb = if locked { "lock" } else { "unlock" };
        self.call(Method::POST, &["v1", "assets", &text(asset), verb]).once(id).answer().await
    }

    /// Closes an asset of the node's domain of which nothing is outstanding.
    pub async fn close_asset(&self, asset: &Uai, id: &str) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "assets", &text(asset), "close"]).once(id).answer().await
    }

    /// Writes down how much of an asset the node's domain has.
    pub async fn attest_asset(&self, asset: &Uai, id: &str) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "assets", &text(asset), "attest"]).once(id).answer().await
    }

    /// The proof of the newest attestation of an asset.
    pub async fn attestation(&self, asset: &Uai) -> Answer<Armour> {
        self.get(&["v1", "assets", &text(asset), "attestation"]).await
    }

    /// Who says that it deals in an asset.
    pub async fn providers(&self, asset: &Uai) -> Answer<Providers> {
        self.get(&["v1", "assets", &text(asset), "providers"]).await
    }

    /// Hands in a signed order. The same order may be sent again at any time: it happens once.
    pub async fn order(&self, order: &SignedOrder) -> Answer<Receipt> {
        let body = SignedBytes { bytes: hex::encode(codec::encode(order)) };
        self.call(Method::POST, &["v1", "orders"]).body(&body).answer().await
    }

    /// Hands in many signed orders, 256 at most, to be decided in this order; one answer for
    /// each. The same orders may be sent again at any time.
    ///
    /// # Errors
    /// Of the request as a whole; what became of each order is in the answers.
    pub async fn orders(&self, orders: &[SignedOrder]) -> Answer<Vec<HandedIn>> {
        let bytes = |order| SignedBytes { bytes: hex::encode(codec::encode(order)) };
        let body = OrderBatch { orders: orders.iter().map(bytes).collect() };
        let answer: OrderBatchAnswer =
            self.call(Method::POST, &["v1", "orders", "batch"]).body(&body).answer().await?;
        match answer.items.len() == orders.len() {
            true => Ok(answer.items),
            false => Err(ClientError::Unknown("not one answer for each order".to_owned())),
        }
    }

    /// What has become of an order.
    pub async fn order_state(&self, order: &OrderId) -> Answer<OrderView> {
        self.get(&["v1", "orders", &text(order)]).await
    }

    /// Everything that the node can prove about an order.
    pub async fn order_evidence(&self, order: &OrderId) -> Answer<Armour> {
        self.get(&["v1", "orders", &text(order), "evidence"]).await
    }

    /// Live offers of the node's holders, or closed ones too; of one ledger where one is named.
    pub async fn offers(
        &self,
        ledger: Option<&Ubi>,
        all: bool,
        most: usize,
    ) -> Answer<Vec<OfferView>> {
        let mut query: Vec<_> = ledger.map(|ledger| ("ledger", text(ledger))).into_iter().collect();
        query.push(("state", if all { "all" } else { "live" }.to_owned()));
        self.list(&["v1", "offers"], &query, most).await
    }

    /// An offer of a holder of the node.
    pub async fn offer(&self, offer: &OrderId) -> Answer<OfferView> {
        self.get(&["v1", "offers", &text(offer)]).await
    }

    /// All live offers that the node knows, of one pair where one is named.
    pub async fn book(
        &self,
        give: Option<&Uai>,
        want: Option<&Uai>,
        most: usize,
    ) -> Answer<Vec<BookEntry>> {
        let mut query: Vec<_> = give.map(|asset| ("give", text(asset))).into_iter().collect();
        query.extend(want.map(|asset| ("want", text(asset))));
        self.list(&["v1", "book"], &query, most).await
    }

    /// Settlements, open or final ones where that is said.
    pub async fn settlements(
        &self,
        state: Option<SettlementState>,
        most: usize,
    ) -> Answer<Vec<SettlementSummary>> {
        let name = state.map(|state| match state {
            SettlementState::Open => "open",
            SettlementState::Final => "final",
        });
        let query: Vec<_> = name.map(|name| ("state", name.to_owned())).into_iter().collect();
        self.list(&["v1", "settlements"], &query, most).await
    }

    /// A settlement.
    pub async fn settlement(&self, settlement: &SettlementId) -> Answer<SettlementView> {
        self.get(&["v1", "settlements", &text(settlement)]).await
    }

    /// All evidence that the node holds about a settlement.
    pub async fn settlement_evidence(&self, settlement: &SettlementId) -> Answer<Armour> {
        self.get(&["v1", "settlements", &text(settlement), "evidence"]).await
    }

    /// The proof of one record.
    pub async fn evidence(&self, height: Height, leaf: u32) -> Answer<Armour> {
        self.get(&["v1", "evidence", &text(&height), &text(&leaf)]).await
    }

    /// Peers.
    pub async fn peers(&self, most: usize) -> Answer<Vec<PeerView>> {
        self.list(&["v1", "peers"], &[], most).await
    }

    /// A peer.
    pub async fn peer(&self, domain: &Domain) -> Answer<PeerView> {
        self.get(&["v1", "peers", domain.as_str()]).await
    }

    /// Lifts a suspension.
    pub async fn lift(&self, domain: &Domain, id: &str) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "peers", domain.as_str(), "lift"]).once(id).answer().await
    }

    /// Credit limits.
    pub async fn trust(&self, most: usize) -> Answer<Vec<TrustLine>> {
        self.list(&["v1", "trust"], &[], most).await
    }

    /// Sets a credit limit. Setting it twice is setting it once.
    pub async fn set_trust(&self, domain: &Domain, asset: &Uai, limit: Amount) -> Answer<Receipt> {
        let path = ["v1", "trust", domain.as_str(), &text(asset)];
        self.call(Method::PUT, &path).body(&TrustLimit { limit }).answer().await
    }

    /// Takes a credit limit away.
    pub async fn remove_trust(&self, domain: &Domain, asset: &Uai) -> Answer<Receipt> {
        self.call(Method::DELETE, &["v1", "trust", domain.as_str(), &text(asset)]).answer().await
    }

    /// Positions: what is owed per peer and asset, and how the books compare.
    pub async fn positions(
        &self,
        domain: Option<&Domain>,
        asset: Option<&Uai>,
        most: usize,
    ) -> Answer<Vec<PositionView>> {
        let mut query: Vec<_> = domain.map(|one| ("domain", text(one))).into_iter().collect();
        query.extend(asset.map(|asset| ("asset", text(asset))));
        self.list(&["v1", "positions"], &query, most).await
    }

    /// What the node owes and is owed over all peers.
    pub async fn standings(&self) -> Answer<StandingsView> {
        self.get(&["v1", "standings"]).await
    }

    /// Explains a break of the books.
    pub async fn explain_break(
        &self,
        domain: &Domain,
        asset: &Uai,
        note: &Detail,
        id: &str,
    ) -> Answer<Receipt> {
        let path = ["v1", "positions", domain.as_str(), &text(asset), "explain"];
        let body = Explanation { note: note.clone() };
        self.call(Method::POST, &path).once(id).body(&body).answer().await
    }

    /// Takes part in netting, or no longer.
    pub async fn switch_netting(&self, on: bool) -> Answer<Receipt> {
        self.call(Method::PUT, &["v1", "netting"]).body(&NettingSwitch { on }).answer().await
    }

    /// Looks for rings of debts and nets them.
    pub async fn net(&self, asset: &Uai, dry_run: bool, id: &str) -> Answer<NettingView> {
        let body = NettingRequest { asset: asset.clone(), dry_run };
        self.call(Method::POST, &["v1", "netting"]).once(id).body(&body).answer().await
    }

    /// Pays a debt with a claim on a third domain.
    pub async fn settle_up(&self, what: &SettleUp, id: &str) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "settle-up"]).once(id).body(what).answer().await
    }

    /// Members of the network.
    pub async fn members(&self, most: usize) -> Answer<Vec<MemberView>> {
        self.list(&["v1", "members"], &[], most).await
    }

    /// Where a domain's gateway is, asked of the mesh.
    pub async fn gateway(&self, domain: &Domain) -> Answer<GatewayView> {
        self.get(&["v1", "gateways", domain.as_str()]).await
    }

    /// Takes no new business, or takes it again.
    pub async fn drain(&self, draining: bool) -> Answer<Receipt> {
        let verb = if draining { "drain" } else { "undrain" };
        self.call(Method::POST, &["v1", verb]).answer().await
    }

    /// Changes what is logged; answers with what is logged now.
    pub async fn log_level(&self, filter: &str) -> Answer<LogLevel> {
        let body = LogLevel { filter: filter.to_owned() };
        self.call(Method::PUT, &["v1", "log-level"]).body(&body).answer().await
    }

    /// How far the node has come in getting back what it has lost.
    pub async fn recovery(&self) -> Answer<RecoveryView> {
        self.get(&["v1", "recovery"]).await
    }

    /// While recovering: hands in evidence of a record that the node has lost.
    pub async fn give_back(&self, evidence: &Evidence) -> Answer<RecoveryView> {
        let body = SignedBytes { bytes: hex::encode(codec::encode(evidence)) };
        self.call(Method::POST, &["v1", "recovery", "evidence"]).body(&body).answer().await
    }

    /// Subscriptions of other systems.
    pub async fn subscriptions(&self) -> Answer<Vec<SubscriptionView>> {
        self.get(&["v1", "subscriptions"]).await
    }

    /// Makes a subscription; the answer has its secret.
    pub async fn subscribe(&self, new: &NewSubscription, id: &str) -> Answer<SubscriptionView> {
        self.call(Method::POST, &["v1", "subscriptions"]).once(id).body(new).answer().await
    }

    /// Takes a subscription away.
    pub async fn unsubscribe(&self, id: &str) -> Answer<SubscriptionView> {
        self.call(Method::DELETE, &["v1", "subscriptions", id]).answer().await
    }

    /// Tries a subscription's next event at once, also after a pause.
    pub async fn resume_subscription(&self, id: &str) -> Answer<SubscriptionView> {
        self.call(Method::POST, &["v1", "subscriptions", id, "resume"]).answer().await
    }

    /// Posts a delivery that only shows that deliveries arrive.
    pub async fn test_subscription(&self, id: &str) -> Answer<SubscriptionView> {
        self.call(Method::POST, &["v1", "subscriptions", id, "test"]).answer().await
    }

    /// While recovering: goes on without a domain's copies.
    pub async fn give_up_on(&self, domain: &Domain) -> Answer<Receipt> {
        let path = ["v1", "recovery", "give-up", domain.as_str()];
        self.call(Method::POST, &path).answer().await
    }

    /// While recovering: the customers' copies are all in.
    pub async fn customers_heard(&self) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "recovery", "customers-heard"]).answer().await
    }

    /// Hands in a payment with what the payee's bank is to read.
    pub async fn pay(&self, payment: &NewPayment) -> Answer<Receipt> {
        self.call(Method::POST, &["v1", "payments"]).body(payment).answer().await
    }

    /// What has become of a payment.
    pub async fn payment(&self, order: &OrderId) -> Answer<PaymentView> {
        self.get(&["v1", "payments", &text(order)]).await
    }

    /// The ways that a payment could take now.
    pub async fn paths(
        &self,
        to: &Domain,
        (asset, amount): (&Uai, Amount),
        spend: &Uai,
        max_cost: Option<Amount>,
    ) -> Answer<Vec<PathView>> {
        let mut call = self
            .call(Method::GET, &["v1", "paths"])
            .query("to", to.as_str())
            .query("asset", &text(asset))
            .query("amount", &text(&amount))
            .query("spend", &text(spend));
        if let Some(most) = max_cost {
            call = call.query("max_cost", &text(&most));
        }
        call.answer().await
    }

    /// What this bank does as a correspondent.
    pub async fn correspondents(&self) -> Answer<CorrespondentsView> {
        self.get(&["v1", "correspondents"]).await
    }

    /// Names the ledger that payments of others pass through; none to let nothing pass.
    pub async fn set_transit(&self, ledger: Option<Ubi>) -> Answer<Receipt> {
        let path = ["v1", "correspondents", "transit"];
        self.call(Method::PUT, &path).body(&TransitLedger { ledger }).answer().await
    }

    /// Sets what is asked for passing an asset on.
    pub async fn set_fee(&self, asset: &Uai, fee: FeeView) -> Answer<Receipt> {
        let path = ["v1", "correspondents", "fees", &text(asset)];
        self.call(Method::PUT, &path).body(&fee).answer().await
    }
}

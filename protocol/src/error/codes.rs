//! The table of refusal codes. A number, once published, keeps its meaning for ever; new codes
//! are added at the end of their hundred: 10 bytes and text, 11 cryptography, 12 identity,
//! 13 log and feeds, 14 ledgers and orders, 15 market, 16 settlement, 17 policy, 18 operation,
//! 19 storage and keys, 20 mesh, 21 HTTP interface, 22 configuration and command line,
//! 23 enrolment, bootstrap and local networks, 24 index and evidence bundles, 25 names, 26 payments
//! and paths, 27 positions and netting, 28 subscriptions.

codes! {
    1001 TooLarge "too many bytes", "Send less at once; the limit is in the message.";
    1002 Malformed "bytes are not a value of this type", "Send the documented form, whole.";
    1003 TrailingBytes "bytes left after the value", "Send one value and nothing after it.";
    1004 NotCanonical "not the canonical form", "Encode with the documented layout.";
    1005 UnknownCode "no such code", "See the list of codes.";
    1006 BadDomain "not a domain name",
        "Use lower-case letters, digits and hyphens in labels joined by dots, like bank-a.example.";
    1007 BadHolder "not a holder name", "Use name@domain, like alice@bank-a.example.";
    1008 BadAmount "not an amount",
        "Use a whole number of minor units (digits only) up to 2^128-1.";
    1009 AmountOverflow "amounts add up to more than can be written", "Use smaller amounts.";
    1010 BadAssetCode "not an asset code", "Use 1 to 12 capital letters and digits, like EUR.";
    1011 BadUai "not an asset identifier",
        "Use CODE:issuer-domain#profile, like EUR:bank-b.example#0011223344556677.";
    1012 BadTime "not a time", "Use RFC 3339 in UTC, like 2026-11-21T09:30:00.000Z.";
    1013 BadIdentifier "not an identifier of this kind",
        "Use the kind's prefix, a colon and 64 lower-case hexadecimal digits.";
    1014 TextTooLong "text too long or with control characters", "Shorten it; plain text only.";
    1015 TooMany "too many elements", "Send fewer; the limit is in the message.";
    1016 BadNumber "not a number in range", "Use decimal digits in the documented range.";
    1017 BadCountry "not a country code", "Use two capital letters of ISO 3166-1, like DE.";

    1101 UnknownSuite "unknown signature suite", "Use suite 1, 2 or 3.";
    1102 BadKey "not a public key of this suite", "Check the key's length and encoding.";
    1103 BadSignature "signature does not verify",
        "Sign the canonical bytes with the current key; both halves must verify.";
    1104 SuiteMismatch "signature of another suite than the key's", "Sign with the key's suite.";
    1105 BadProof "Merkle proof does not lead to the root", "Fetch the evidence again.";
    1106 CannotOpen "sealed payload does not open", "Check that it was sealed to this domain's key.";
    1107 SuiteNotAllowed "signature suite not allowed here",
        "Domains need a hybrid suite (1 or 2); ask the bank which suites its holders may use.";

    1201 BadLei "not a legal entity identifier", "Check the 20 characters and the check digits.";
    1202 CertificateExpired "certificate not valid at this time", "Renew the certificate.";
    1203 CertificateRevoked "certificate revoked", "Enrol again with the network authority.";
    1204 NotEndorsed "certificate without a trusted issuer",
        "Have it signed by the network authority or by a domain that is trusted here.";
    1205 UnknownDomain "no such member", "Wait for its certificate, or enrol the domain.";
    1206 StaleSequence "older than what is known", "Fetch the newest version first.";
    1207 WrongNetwork "made for another network", "Check the network's name.";
    1208 WrongDomain "made by or for another domain", "Check who signed it and for whom.";
    1209 BadValidity "validity ends before it begins", "Check the two times.";
    1210 MissingRole "certificate lacks the role", "Ask the authority for the role.";
    1211 BadRotation "key rotation does not follow the current key",
        "Sign the new key with the current one and count the epoch up by one.";
    1212 BadAddress "not a network address", "Use a multiaddress like /ip4/127.0.0.1/tcp/7000.";
    1213 UnknownEpoch "no key known for this epoch",
        "Fetch the domain's certificate and key rotations first.";
    1214 KeyNotInForce "key does not count at this height",
        "Sign with the key that the domain's rotations put in force at the height.";

    1301 FeedGap "feed skips a sequence number", "Resume from the number in the message.";
    1302 FeedReplay "feed repeats a sequence number with other content",
        "Keep both copies: together they prove fraud.";
    1303 HeightRegressed "checkpoint height does not rise", "Resume the feed from its last page.";
    1304 NotAddressed "record is addressed to somebody else", "Send it to its addressee.";
    1305 Equivocation "two checkpoints for one height", "Contact the domain; keep the proof.";
    1306 Recovering "validator is recovering statements it has lost",
        "Wait until it has fetched them from its peers, or resolve what is missing.";
    1307 PeerLostState "peer has lost statements it made",
        "It will ask for them; nothing new is agreed with it until it has them back.";
    1308 WrongRecord "statement of a kind that cannot be sent to a peer", "Check the sender.";
    1309 NotFraud "the two statements do not conflict", "Show two that do.";
    1310 PeerSuspended "peer is suspended after a proof of fraud",
        "Settle the matter with the domain, then lift the suspension.";
    1311 NotRecovering "validator is not recovering", "Nothing to do.";
    1312 BadEvidence "evidence does not prove the statement", "Fetch the evidence again.";

    1401 UnknownLedger "no such ledger", "Check the ledger's identifier and its bank.";
    1402 LedgerExists "ledger exists already", "Use it, or open one with another number.";
    1403 LedgerFrozen "ledger is frozen", "Ask the bank.";
    1404 LedgerClosed "ledger is closed", "Use another ledger.";
    1405 InsufficientFunds "not enough free funds", "Lower the amount, or cancel something held.";
    1406 NonceUsed "nonce used by another order", "Sign the order with a new nonce.";
    1407 NonceTooOld "nonce below the window", "Use a nonce above the last one used.";
    1408 OrderExpired "order has expired", "Sign it again with a later expiry.";
    1409 OrderLifeTooLong "order lives longer than allowed", "Use an expiry within 24 hours.";
    1410 AssetNotAllowed "asset not allowed on this ledger",
        "Ask the bank to allow it, or use another ledger.";
    1411 LimitNeedsSecondKey "above the daily limit without the second key's signature",
        "Have the second key sign too, or wait for the next day.";
    1412 WrongKey "not the ledger's current key", "Sign with the current key.";
    1413 NotIssuer "only the asset's issuer may do this", "Ask the issuer.";
    1414 UnknownAsset "asset not known here", "Register the asset's profile first.";
    1415 SupplyExceeded "more than the asset's supply limit", "Issue less.";
    1416 LedgerNotEmpty "ledger still holds funds or has open business",
        "Move the funds and end open offers first.";
    1417 ZeroAmount "amount is zero", "Use an amount above zero.";
    1418 SameLedger "payer and payee are one ledger", "Name two ledgers.";
    1419 AssetExists "asset exists already", "Use it.";
    1420 CreditLimit "credit limit for the counterparty would be passed",
        "Ask the bank to raise its limit, or send less.";
    1421 NoTrust "no credit limit between the two domains",
        "The banks must set a credit limit for the asset first.";
    1422 AssetLocked "asset is locked", "Ask the issuer.";
    1423 NonceTooFar "nonce too far ahead", "Use a nonce at most 64 above the highest used.";
    1424 IssueNameUsed "name of this issue stands for another one",
        "Give a new issue a new name (--id, Idempotency-Key).";
    1425 AssetClosed "asset is closed", "Nothing more of it can be issued; use another asset.";
    1426 AssetOutstanding "some of the asset is still outstanding",
        "Have what is left redeemed first; `quadrille asset show` says where it is.";
    1427 NotDenominated "not a multiple of the asset's denomination",
        "Use a multiple of the denomination in the message.";
    1428 JurisdictionNotPermitted "holder's jurisdiction may not have this asset",
        "See the asset's profile for the jurisdictions it permits.";
    1429 HolderNotPermitted "holders of this domain may not have this asset",
        "See the asset's profile for the domains it permits.";
    1430 SupplyMismatch "attestations of the asset do not agree",
        "Have the domains in the message attest again; if it stays, ask them why.";

    1501 UnknownOffer "no such live offer", "Look at the book again.";
    1502 OfferExpired "offer has expired", "Look at the book again.";
    1503 BelowMinimum "less than the offer's minimum fill", "Take at least the minimum.";
    1504 AboveRemaining "more than what is left of the offer", "Take at most what is left.";
    1505 PriceTooLow "price worse than the offer's", "Pay at least the offer's price.";
    1506 NotAllowedCounterparty "offer names other counterparties", "Look for another offer.";
    1507 TakeLost "another take was selected", "Look at the book again.";
    1508 TooManyTakes "too many takes wait for this offer", "Try again later.";
    1509 BadOffer "offer's terms do not hold together",
        "Both amounts above zero, minimum fill at most the amount, two different assets.";
    1510 OfferCancelled "offer was cancelled", "Look at the book again.";
    1511 BookFull "too many live offers", "Cancel some, or try again later.";
    1512 BadBookRoot "list of live offers does not match its signed root",
        "Ask the validator again; drop what it sent.";
    1513 NotYours "order belongs to another ledger", "Cancel with the ledger that made it.";

    1601 BadAgreement "agreement's terms do not hold together", "See the message.";
    1602 NotAParty "not a party of the agreement", "Check the agreement's parties.";
    1603 UnknownSettlement "no such settlement", "Check the identifier.";
    1604 DeadlineTooFar "settlement lives longer than allowed", "Use an earlier deadline.";
    1605 DeadlinePassed "settlement's deadline has passed", "Start again.";
    1606 TermsDiffer "agreement differs from what was taken or offered", "Start again.";
    1607 TooManySettlements "too many open settlements with this peer", "Wait for some to end.";
    1608 BadPreimage "preimage does not match the hash lock", "Check the secret.";
    1609 MissingEvidence "evidence of a party's lock is missing", "Send the whole bundle.";
    1610 AlreadyDecided "settlement was decided otherwise", "Look at the decision.";
    1611 Aborted "initiator gave the settlement up", "Start again.";
    1612 PeerDeclined "a party declined to lock", "See its reason.";
    1613 TimedOut "deadline passed before the reveal", "Start again.";
    1614 StaleAgreement "agreement's number does not rise", "Draw up a new agreement.";
    1615 PastReveal "too late to give the settlement up", "Wait for the decision.";

    1701 SecondKeyMissing "ledger names no second key", "Register one, or lower the amount.";
    1702 KycTierTooLow "holder's tier is too low for this asset", "Ask the bank.";
    1703 TravelFieldMissing "field of the travel rule data is missing",
        "Send the IVMS101 data with the field that the message names.";
    1704 TravelFieldBad "field of the travel rule data is not well formed",
        "Correct the field that the message names, as IVMS101 has it.";
    1705 TravelFieldForeign "travel rule data are of another payment",
        "Name the accounts of this payment in the data.";
    1706 ScreeningDeclined "declined by the bank's screening", "Ask the bank that declined.";
    1707 ScreeningSilent "screening gave no answer",
        "Try again later; the bank's operator finds the cause in its log.";
    1708 DenyListed "somebody is on the bank's deny list", "Ask the bank that declined.";
    1709 IdentityMissing "no identity on file for this ledger",
        "Open a ledger with `--identity FILE`, so that the holder has signed its data.";
    1710 IdentityLost "identity data are not in the vault or damaged",
        "Restore the folder `vault` from a copy, or have the holder send the same data again.";
    1711 IdentityMismatch "identity data are not those that the holder signed",
        "Send the data and the salt whose hash the opening names.";

    1801 NotLive "validator does not take new business", "Wait, or ask the operator.";
    1802 PeerUnknown "no such peer", "Exchange certificates first.";
    1803 QueueFull "too much waits already", "Try again later.";
    1804 BatchFull "batch is full", "It will be taken up in the next batch.";
    1805 BadSnapshot "snapshot does not match the log", "Rebuild from the log.";
    1806 ClockWentBack "clock is far behind the log", "Check the machine's clock.";
    1807 NodeFault "node cannot go on", "See the node's log; restart it once the cause is gone.";
    1808 LogMissing "log is missing although checkpoints were signed",
        "Restore the log from its newest copy; the peers give back what that copy lacks.";

    1901 DirectoryInUse "data directory in use by another process",
        "Stop that process first; its number is in the message.";
    1902 LogDamaged "log is damaged",
        "Nothing was changed. Look with `quadrille log verify`; restore a backup, or recover from the \
         peers.";
    1903 LogFailed "log cannot be written",
        "Check the disk, then start the node again; what was acknowledged is on it.";
    1904 DiskFull "disk is full",
        "Make room, then start the node again; nothing that was acknowledged is lost.";
    1905 LogUnreadable "log cannot be read", "Check the disk and the permissions of the folder.";
    1906 LogOrder "batch does not continue the log",
        "The log is unchanged. Stop the node and report this.";
    1907 WrongLog "log of another domain or network", "Check the data directory's path.";
    1908 UnknownFormat "file in another version's format",
        "Use the version of the software that wrote it, or a later one.";
    1909 SnapshotFailed "snapshot cannot be saved",
        "Check the disk; the log is whole and the node runs on without it.";
    1910 GuardRefused "guard has signed a later or another checkpoint",
        "The log is older than what was signed: let the node recover. Never remove the guard.";
    1911 GuardDamaged "guard file is damaged",
        "Move it away only if the log is surely the newest; the node then asks every peer first.";
    1912 GuardFailed "guard file cannot be read or written",
        "Check the disk under the guard, then start the node again.";
    1913 NoSecretKey "no secret key for this epoch", "Check that the key file is the newest one.";
    1914 GuardNeeded "checkpoints are signed through the guard only",
        "Use the call for checkpoints.";
    1915 WrongPassphrase "wrong passphrase", "Give the passphrase that the file was made with.";
    1916 OpenToOthers "secret file is open to other users", "Run the command in the message.";
    1917 SecretFileDamaged "secret file is damaged", "Restore it from its backup.";
    1918 SecretFileExists "file exists already",
        "Choose another path; a file with secrets is never overwritten.";
    1919 SecretFileFailed "secret file cannot be read or written",
        "Check the path, its owner and the disk.";
    1920 WrongSecretFile "secret file of another kind", "Check the path: it holds something else.";
    1921 NoPassphrase "no passphrase",
        "Give --passphrase-file, set QUADRILLE_PASSPHRASE_FILE, or run at a terminal.";
    1922 NoRandomness "system gives no random bytes", "Check the machine; nothing was made.";

    2001 HandshakeFailed "membership handshake failed",
        "Check that the peer runs this protocol's version on this network.";
    2002 HandshakeTimeout "membership handshake took too long",
        "Check the line and the load of both nodes; it is tried again.";
    2003 PeerMismatch "gateway record names another node",
        "Ask the peer's operator which node speaks for the domain.";
    2004 OwnDomain "another node speaks for our own domain",
        "Stop one of the two at once: two nodes with one log's keys end in a proof of fraud.";
    2005 PeerBlocked "peer is blocked for a while",
        "Wait, or look up in the log what it did.";
    2006 BadSessionFrame "not a frame of this protocol", "Check the peer's version.";
    2007 SessionStalled "peer does not read or write", "It is connected anew by itself.";
    2008 TooFast "more messages than the rate allows", "Send slower, or ask for a higher rate.";
    2009 NoPostQuantumTls "no post-quantum key exchange with the peer",
        "The peer must offer X25519MLKEM768 in TLS 1.3.";
    2010 CannotListen "cannot listen on the address",
        "Check the address and whether another process has the port.";
    2011 GatewayNotFound "no gateway record found",
        "Check the domain's name, or wait until its node has published one.";
    2012 KeyLogSet "SSLKEYLOGFILE is set", "Unset it: it would write the session keys to a file.";
    2013 MeshStopped "the mesh has stopped", "Start the node again.";
    2014 BadMeshKey "not a usable node key", "Restore the key file or make the node a new key.";

    2101 UnknownRoute "no such path", "See /v1/openapi.json for the paths there are.";
    2102 WrongMethod "method not allowed for this path", "Use a method that `Allow` names.";
    2103 BadBody "body is not the JSON that is asked for",
        "See /v1/openapi.json for the fields; the message says which one is wrong.";
    2104 BadQuery "path or query cannot be read",
        "See /v1/openapi.json for the parameters; encode `#` as %23 and `/` as %2F.";
    2105 WrongContentType "body is not announced as JSON", "Send `Content-Type: application/json`.";
    2106 BodyTooLarge "body too large", "Send less at once; the limit is in the message.";
    2107 RequestTooSlow "request did not arrive in time", "Send it again, all of it at once.";
    2108 NotAuthenticated "no valid token",
        "Send `Authorization: Bearer qd_…`; `quadrille token create` makes one.";
    2109 NotPermitted "token's role does not permit this",
        "Use a token of the role in the message.";
    2110 UnknownOrder "no record of this order",
        "It has had no effect. To be sure of it, send the very same order (the same --id) again.";
    2111 OutcomeUnknown "outcome unknown",
        "Send the very same request again, or look up what became of it. Do not make a new one.";
    2112 Overloaded "too many requests at once", "Try again after the seconds in `Retry-After`.";
    2113 TooManyOrders "too many orders with this token",
        "Try again after the seconds in `Retry-After`.";
    2114 TooManyRefused "too many refused orders of this ledger",
        "See why they were refused; try again after the seconds in `Retry-After`.";
    2115 BadIdempotencyKey "not an idempotency key", "Use 1 to 128 visible ASCII characters.";
    2116 IdempotencyConflict "idempotency key was used for another request",
        "Use a new key for a new request.";
    2117 IdempotencyBusy "first request with this key is not answered yet",
        "Ask again after the seconds in `Retry-After`.";
    2118 BadCursor "not a cursor of this list", "Use `next` of the page before, or none.";
    2119 TooManySubscribers "too many subscribers of events", "Close one, or try again later.";
    2120 BadEventId "not the id of an event of this log",
        "Use the id of the last event seen, or none to begin with what happens from now on.";
    2122 NotReady "node is not ready", "Wait; the message says for what.";
    2123 BadLogFilter "not a log filter",
        "Use a level or module=level pairs, like info,quadrille_node=debug.";
    2124 BadTokenFile "file of tokens cannot be used",
        "See the message; restore it or make a new one.";
    2125 UnknownToken "no such token", "See `quadrille token list`.";
    2126 ApiCannotListen "HTTP interface cannot listen on its address",
        "Use another address, or end what uses it.";
    2127 UnknownGateway "no gateway of this domain is known",
        "Check the domain; its node may be down or not yet have announced itself.";
    2128 TierTooHigh "tier is above what this bank grants",
        "Open the ledger with a lower tier; holders.highest_tier is the highest.";

    2201 BadUsage "asked wrongly", "See the command's --help.";
    2202 BadConfiguration "configuration does not hold together",
        "Correct the option; `quadrille config show --origin` says where each value comes from.";
    2203 UnknownOption "no such option", "Check its spelling; quadrille.toml lists all options.";
    2204 CannotRead "file cannot be read", "Check the path and who may read it.";
    2205 CannotWrite "file cannot be written", "Check the path, the permissions and the free space.";
    2206 FileExists "file is there already", "Choose another name, or move the file away first.";
    2207 BadArmour "not a text file of the expected kind",
        "Pass the file as it was written; its first field says what kind it is.";
    2208 BadNetworkFile "network file is not as documented",
        "Fetch network.toml again from the network's authority.";
    2209 Unreachable "node cannot be reached", "Check --api (QUADRILLE_API) and that the node runs.";
    2210 NoAnswer "no answer came, so the outcome is unknown",
        "Repeat the same command with the same --id: it happens once, however often it is sent.";
    2211 NoToken "no token for the node", "Pass --token-file, or set QUADRILLE_TOKEN_FILE.";
    2212 BadAnswer "answer is not one of this interface",
        "Check that --api names a Quadrille node of this version.";
    2213 IdReused "id stands for another order", "Use a new --id for a new order.";
    2214 WalletInUse "wallet is in use by another process", "Wait until it is done.";
    2215 NoHolderKey "no key of this holder in the wallet", "See `quadrille holder list`.";
    2216 AmbiguousAsset "several assets begin with this", "Write the identifier in full.";
    2217 TooManyDecimals "more decimal places than the asset has",
        "Round the amount, or give minor units with --minor.";
    2218 NotTheSecondKey "wallet does not have the second key", "Sign where the second key is kept.";
    2219 NotInOrder "node is not in order", "Follow the remedies that `quadrille doctor` prints.";

    2301 BadEnrolmentRequest "enrolment request does not hold together",
        "Make a new one with `quadrille enroll request`.";
    2302 NotOurCertificate "certificate is not for this domain and its keys",
        "Send the authority this node's own request, and accept what comes back.";
    2303 NotEnrolled "domain has no certificate yet",
        "Run `quadrille enroll request`, have it approved, then `quadrille enroll accept`.";
    2311 RegisterInUse "register is in use by another process",
        "Wait until that process has ended, then repeat the command.";
    2312 RegisterDamaged "register is damaged",
        "Restore it from a copy; what was issued stays valid, it verifies by itself.";
    2313 NetworkExists "folder holds a network already", "Name an empty folder with --dir.";
    2314 NoNetworkHere "no network in this folder",
        "Make one with `quadrille-bootstrap network init`, or name its folder with --dir.";
    2315 OtherKeyLive "domain has a live certificate under another key",
        "Revoke it first, or approve with --replace when both keys are to count.";
    2316 EpochTaken "epoch of this domain has another key",
        "Have a request made for a key with the next epoch.";
    2317 ApprovedOtherwise "request was approved with other terms",
        "Use the certificate that was issued, or have a new request made.";
    2318 NoSuchSerial "no certificate with this serial number",
        "See `quadrille-bootstrap members --all`.";
    2319 NeedsHeight "revocation of a stolen key needs its last good height",
        "Say with --from-height up to which height of its log the key is to count, 0 for none.";
    2320 ServeFailed "bootstrap peer cannot go on", "See the reason; then start it again.";
    2321 RegisterFull "register is full", "Begin a new network.";
    2322 LocalNetworkInUse "local network is being changed by another process",
        "Wait until that process has ended, then repeat the command.";
    2323 NoLocalNetwork "no local network in this folder",
        "Start one with `quadrille-testnet up`, or name its folder with --dir.";
    2324 NodeDidNotStart "node did not start", "Its last log lines are shown; they say why.";
    2325 ProgramMissing "program of this name is missing",
        "Build it: cargo build -p quadrille-node -p quadrille-bootstrap.";
    2326 UnknownNode "no such node in this local network", "See `quadrille-testnet status`.";
    2327 LocalStateDamaged "state of the local network cannot be read",
        "End its processes by hand, remove the folder and start anew.";
    2328 OtherLocalNetwork "folder holds a local network of another shape",
        "Name another folder with --dir, or take this one down and remove it.";
    2329 DoesNotHold "network does not hold together", "Keep its folder: the logs prove what happened.";
    2330 PeerRuns "bootstrap peer runs already", "Stop that process first; its number is in the message.";
    2331 StepFailed "step of the demo went another way", "Keep its folder: the logs say what happened.";
    2332 OtherCertificate "files hold different certificates",
        "Accept together only copies of one certificate, each with the endorsements of some.";
    2333 OtherKey "key is not the one that was named",
        "Ask the domain over another channel which key is its own, and pin no other.";
    2350 BadScenario "scenario file is not as documented",
        "Correct the lines that are named; testnet/scenarios/README.md documents every key.";
    2351 ScenarioFailed "scenario went another way than its file says",
        "Read the story above; the network's folder is left for a look.";
    2352 BrokenOff "broken off by a signal", "Nothing of it is left running; start it again.";
    2360 BadLoad "load does not hold together", "See the message, and `quadrille-testnet load --help`.";
    2361 LoadStopped "load was broken off before it began", "Start it again.";
    2362 LoadInDoubt "trades of the load are not known to have ended",
        "Start the banks that are down, then see `quadrille-testnet assert --wait 120`.";
    2370 BadNetworkCopy "not a whole snapshot of a local network",
        "Take another copy of the file; nothing was unpacked.";
    2371 NoRoom "not enough room on the disk",
        "Make room, or name another folder; nothing was written.";
    2372 FolderNotEmpty "folder is not empty", "Name one that is missing or empty.";
    2373 PortTaken "another program has a port of this process",
        "End that program; or give the bank new ports: quadrille-testnet restart NAME --new-ports.";
    2390 ModelDoesNotHold "model of a network contradicts itself",
        "Report it with the command and its seed.";
    2391 BadFigures "figures cannot be used", "Name a JSON file of numbers, or leave --figures out.";
    2392 NoMarkers "file has no place for the tables",
        "Put the two comment lines that the message names where the tables are to be.";

    2401 IndexFailed "index cannot be read or written",
        "Stop the node, delete its index folder and start it again: it is rebuilt from the log.";
    2402 IndexGap "batch does not follow what is indexed",
        "Restart the node: the index catches up with the log.";
    2403 NoSuchRecord "no such record in the log", "Check the height and the leaf.";
    2404 NotSealed "batch is not signed yet", "Try again in a moment.";
    2405 ForeignEvidence "evidence of something else", "Export the bundle again at its source.";

    2501 NameUnknown "no holder of this name", "Check the name with its holder.";
    2502 NameClosed "holder has no open ledger any more", "Ask the holder for another name.";
    2503 NameRefused "bank does not tell us of its holders",
        "Ask the bank to admit this domain (its `names.answer_to`, or a credit limit).";
    2504 NameUnreachable "bank of this name cannot be asked now",
        "Try again later; see `quadrille peers` for the connection.";
    2505 NameStale "answer about a name is out of date", "Ask again; check the clocks.";
    2506 OtherAnswer "answer does not fit the question", "Tell the peer's operator.";
    2507 QuestionRefused "peer does not answer this question to us",
        "Ask the peer to admit this domain.";

    2601 FeeTooLow "less than the fee for passing it on", "Look for the way again: fees have changed.";
    2602 CostTooHigh "costs more than the payer allows", "Allow more, or wait for a better price.";
    2603 OfferSelects "offer selects among takes and cannot be part of a payment",
        "Look for another way.";
    2604 BadRoute "route is no way of making this payment", "Look for the way again.";
    2605 NoRoute "no way to make this payment", "See the message: trust, asset, cost or length.";
    2606 TravelDataMissing "travel rule asks for the data of payer and payee",
        "Register the payer's identity at its bank and name the payee with --beneficiary.";
    2607 EnclosureUnopened "enclosed data were not opened", "Send the payment again.";
    2608 EnclosureDiffers "enclosed data are not those that were agreed upon",
        "Seal again just what the agreement names.";
    2621 NoPathTrust "no path: a bank at its end is trusted by nobody, or trusts nobody",
        "That bank must agree on a credit limit with another one for the asset.";
    2622 NoPath "no path from the payer's bank to the payee's", "Pay in another asset, or elsewhere.";
    2623 PathTooLong "no path with few enough banks", "Pay in another asset, or elsewhere.";
    2624 NoFittingOffer "no path whose offers give just this amount",
        "Try another amount, or wait for other offers.";
    2625 PathTooDear "every path costs more than the payer allows",
        "Allow what the message says, or wait for a better price.";
    2626 FeeTooHigh "fee is more than the whole of what is passed on",
        "At most 1000000 millionths; charge more as a flat amount.";

    2701 BooksDiffer "our books and this peer's differ",
        "See `quadrille positions`; find the difference with the peer, then explain the break.";
    2702 NoBreak "no break of the books with this peer", "See `quadrille positions`.";
    2703 NettingOff "this domain does not take part in netting",
        "Its operator opts in with `quadrille netting on`.";
    2704 NotNetting "netting would raise a debt or a claim", "Look again for cycles: these debts have moved.";
    2705 BadCycle "not a cycle of debts through this domain",
        "Name each domain once, in the order of who owes whom, this one first.";
    2706 NothingToNet "no cycle of debts found", "Try again when positions have moved.";

    2801 BadSubscription "subscription does not hold together",
        "See the message, and `quadrille hook add --help`.";
    2802 UnknownSubscription "no such subscription", "See `quadrille hook list`.";
    2803 TooManySubscriptions "too many subscriptions",
        "Remove one, or raise hooks.subscriptions.";
    2804 AddressNotAllowed "events may not be sent to this address",
        "Use https and a public address, or see hooks.allow_http and hooks.allow_private.";
    2805 DeliveryFailed "event was not taken",
        "The receiver must answer 2xx in time; `quadrille hook resume` once it does.";
    2806 BadHookSignature "signature of a delivery does not fit",
        "Check the secret, and that the body is as it came, byte for byte.";
    2807 StaleDelivery "delivery is too old, or from the future",
        "Drop it: it may be a replay. Check the clock if it was just sent.";
}

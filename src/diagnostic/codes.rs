//! Every stable code, its severity and its meaning in one line.

use std::fmt;

use super::Severity;

macro_rules! codes {
    ($($severity:ident $name:ident $word:literal $meaning:literal)*) => {
        /// The subject of a diagnostic. The word never changes once it is released: scripts match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable word, in kebab case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// One line of reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    // The text
    Error Syntax "syntax" "the text is not TOML"
    Error NotUtf8 "not-utf-8" "the file is not UTF-8"
    Error UnreadableFile "unreadable-file" "the file, or one that it names, cannot be read"
    Error MissingVariable "missing-variable" "`${NAME}` or `{ env = … }` names an environment variable that is not set"

    // Several files
    Error DefinedTwice "defined-twice" "a table that stands in two files of one configuration"
    Error NestedInclude "nested-include" "an included file that includes others"
    Warning IncludeMatchesNothing "include-matches-nothing" "an `include` under which no file is found"

    // Keys and values
    Error UnknownKey "unknown-key" "a key that no table of this kind has"
    Error MissingKey "missing-key" "a key that the table cannot do without"
    Error WrongType "wrong-type" "a value of another type than the key takes"
    Error InvalidValue "invalid-value" "a value of the right type that cannot be read"
    Error OutOfRange "out-of-range" "a number or a share outside what the key allows"
    Error MissingUnit "missing-unit" "a duration, size, share or rate without its unit"
    Error InvalidName "invalid-name" "a name that cannot be used in metrics, cookies and addresses of the API"
    Error InvalidRegex "invalid-regex" "a regular expression that does not compile"
    Error InvalidHeaderName "invalid-header-name" "a header name with a character that HTTP does not allow"
    Error InvalidHeaderValue "invalid-header-value" "a header value with a character that HTTP does not allow"
    Error InvalidTemplate "invalid-template" "a path template that cannot be read"
    Error InvalidJsonPath "invalid-json-path" "a comparison path that cannot be read"
    Error DuplicateValue "duplicate-value" "the same thing twice in a list"

    // Listeners
    Error InvalidAddress "invalid-address" "not an address with a port"
    Error DuplicateListener "duplicate-listener" "two listeners on one address"
    Error AdminWithoutToken "admin-without-token" "the admin listener can be reached from other machines and has no token"
    Error TlsWithoutCertificate "tls-without-certificate" "a TLS listener without a certificate"
    Error AcmeNoChallenge "acme-no-challenge" "certificates by ACME where no listener can answer a challenge"
    Error MissingClientCa "missing-client-ca" "hosts that need a client certificate, without an authority of clients"
    Error NothingListens "nothing-listens" "neither `listen` nor `server.tls.listen` names an address"
    Warning UnusedCertificate "unused-certificate" "certificates or TLS settings without a TLS listener"
    Error InvalidNetwork "invalid-network" "not a network in CIDR notation"
    Warning TrustsEverybody "trusts-everybody" "every peer may say who the client is, or name its side"

    Error CookieWithoutSecure "cookie-without-secure" "attributes of the issued cookies under which browsers keep none of them"

    // Upstreams
    Error MissingMonolith "missing-monolith" "the file has no `[monolith]`"
    Error MonolithStillNeeded "monolith-still-needed" "the monolith is retired while a route needs it"
    Error UpstreamSource "upstream-source" "an upstream needs exactly one of `url`, `endpoints` and `discover`"
    Error InvalidUrl "invalid-url" "a URL that cannot be an upstream's"
    Error TargetCannot "target-cannot" "something that a service which is not a server of HTTP cannot do"
    Error UrlWithPath "url-with-path" "an upstream's URL with a path, which belongs into a rewrite"
    Error TlsWithoutHttps "tls-without-https" "`tls` for an upstream whose URL is not https"
    Warning MissingAuthority "missing-authority" "an authority's file that is not there: without it no endpoint can be asked"
    Warning UnverifiedUpstream "unverified-upstream" "an upstream whose certificate proves nothing"
    Error ReservedName "reserved-name" "a name that has a meaning of its own"
    Warning NotifyWithoutRoute "notify-without-route" "a notification for a route that there is not"
    Warning UnusedService "unused-service" "a service that no route uses"

    // Routes
    Error MissingStage "missing-stage" "a route without a stage"
    Error MissingPath "missing-path" "a route that names neither path nor host"
    Error UnknownService "unknown-service" "a service that the file does not have"
    Error MissingService "missing-service" "a stage that needs a service, without one"
    Error UnexpectedService "unexpected-service" "a service where the variants name the upstreams"
    Error MissingWeight "missing-weight" "a canary without a weight"
    Error UnexpectedWeight "unexpected-weight" "a weight in a stage that has none"
    Error MissingVariants "missing-variants" "a split with fewer than two variants"
    Error UnexpectedVariants "unexpected-variants" "variants in a stage that is not `split`"
    Error VariantWeights "variant-weights" "variants whose weights do not sum to 100 %"
    Error UnexpectedFallback "unexpected-fallback" "a fallback in a stage that has none"
    Warning UselessFallback "useless-fallback" "a fallback or breaker setting without effect"
    Error AmbiguousRoutes "ambiguous-routes" "two routes that take the same request and are equally specific"
    Warning UnreachableRoute "unreachable-route" "a route whose every request another one takes"
    Error UnknownParameter "unknown-parameter" "a rewrite that names a parameter which the path does not have"
    Warning LostCookie "lost-cookie" "a rewrite under which a cookie does not come back to where it is needed"
    Warning TakenByLongerPath "taken-by-longer-path" "a route whose conditions do not help where another route has a more specific path"
    Warning RewriteNeverActs "rewrite-never-acts" "a rewrite without a service, or one that changes nothing"
    Error UnexpectedRewrite "unexpected-rewrite" "a rewrite of something that the proxy itself writes"

    Error RedirectInStage "redirect-in-stage" "a redirect in a stage in which somebody else answers"
    Error RedirectLoop "redirect-loop" "a redirect to the path that its own route takes"
    Error FaultOnMonolith "fault-on-monolith" "failures on purpose on the monolith's side"
    Error ShortSecret "short-secret" "a shared secret that can be guessed from one token"

    // Which client goes to which side
    Error InvalidUnit "invalid-unit" "a sticky unit that cannot be read"
    Warning UnitChangesAtLogin "unit-changes-at-login" "a sticky unit that is another one after login"
    Warning UnitNeverPresent "unit-never-present" "a sticky unit that no request of the route can have"
    Warning ClientsWithoutCookies "clients-without-cookies" "a canary or split of what looks like an API, whose clients are known by a cookie alone"
    Warning CohortDiffers "cohort-differs" "routes of one cohort with different units or weights"
    Warning UselessSetting "useless-setting" "a setting that has no effect in this stage"

    // Copies
    Warning ShadowWithoutCopies "shadow-without-copies" "a shadow table in a stage that sends no copies"
    Warning ShadowCopiesNothing "shadow-copies-nothing" "a stage with copies, and a route none of whose requests is copied"
    Warning ShadowComparesNothing "shadow-compares-nothing" "copies whose answers are thrown away"
    Error ShadowWritesToMonolith "shadow-writes-to-monolith" "copies of unsafe requests would go to the monolith"
    Error SandboxNeeded "sandbox-needed" "unsafe requests are copied to a service that is not declared a sandbox"
    Warning ReverseNotMigrated "reverse-not-migrated" "`reverse` in a stage in which it does nothing"
    Warning UnsafeMethodsNotCopied "unsafe-methods-not-copied" "`shadow.methods` names methods that are never copied"

    // Gates
    Error GateWithoutService "gate-without-service" "a gate on a route that has no service to move to"
    Error GateInSplit "gate-in-split" "a gate on a split, which has no direction"
    Error GateStepsNotRising "gate-steps-not-rising" "steps of a gate that are not larger from one to the next"
    Error GateApproveUnknown "gate-approve-unknown" "a gate that waits before a stage it never moves into"
    Warning GateNoEvidence "gate-no-evidence" "a shadow with a gate, none of whose requests are compared"
    Warning GateSlow "gate-slow" "a gate that takes more than a day for its step at the present traffic"

    // While running
    Warning NeedsRestart "needs-restart" "the change takes effect only after a restart"
    Warning MissingFile "missing-file" "a file of certificates or keys that is not here: where the program serves, it has to be"
    Error UnusableKeys "unusable-keys" "a file of keys for tokens with none that can be used"
    Error UnusableCertificate "unusable-certificate" "a certificate, key or client authority that cannot be used; what was in force stays"
    Warning CertificateExpires "certificate-expires" "a certificate that has expired, or soon will"
    Warning UnresolvedName "unresolved-name" "a name that does not resolve yet; it is asked for again"
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Code;

    #[test]
    fn codes_are_kebab_case_and_differ() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for word in words {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'8'), "{word}");
        }
    }

    #[test]
    fn every_code_has_a_meaning() {
        assert!(Code::ALL.iter().all(|code| code.meaning().len() > 10));
    }
}

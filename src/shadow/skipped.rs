//! Why a copy is not sent.

/// Why a copy was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    SampledOut,
    Method,
    QueueFull,
    /// Copies have taken their share of the processor.
    Cpu,
    BodyTooLarge,
    Upgrade,
    Stopping,
    /// The request's own body did not arrive whole.
    Incomplete,
    /// It carries the client's identity: a sign-in that belongs to a connection.
    Credentials,
    /// The endpoint's version of HTTP cannot carry its target.
    Target,
}

impl Skipped {
    pub(super) const ALL: [Self; 10] = [
        Self::SampledOut,
        Self::Method,
        Self::QueueFull,
        Self::Cpu,
        Self::BodyTooLarge,
        Self::Upgrade,
        Self::Stopping,
        Self::Incomplete,
        Self::Credentials,
        Self::Target,
    ];

    /// The label in `shadow_skipped_total`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SampledOut => "sampled_out",
            Self::Method => "method",
            Self::QueueFull => "queue_full",
            Self::Cpu => "cpu",
            Self::BodyTooLarge => "body_too_large",
            Self::Upgrade => "upgrade",
            Self::Stopping => "stopping",
            Self::Incomplete => "incomplete",
            Self::Credentials => "credentials",
            Self::Target => "target",
        }
    }
}

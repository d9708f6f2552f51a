//! The columns of a block. Their order is the format's of version 3.

/// Columns of texts, each with a dictionary. What is no request has empty ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Text {
    Service,
    Host,
    /// As shown: of L4, the protocol's name.
    Method,
    Path,
    UserId,
    UserEmail,
    UserAgent,
    Target,
    City,
    Subdivision,
    /// Postcard of the map, "" where it is empty.
    Metadata,
}

/// Columns of numbers of which there are few different ones, each with a dictionary. For
/// enumerations: the place in their list, from 1; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Code {
    Protocol,
    Verdict,
    /// [`proxy_common::reason::Reason`] as a number.
    Reason,
    /// As `Reason`.
    ObservedReason,
    CloseReason,
    TlsVersion,
    /// 0: it is no request.
    AuthMethod,
    HttpVersion,
    Status,
    /// [`proxy_common::country::Country`] as stored.
    Country,
    ListenPort,
    /// The low 42 bits of the id.
    IdNode,
    /// The low 42 bits of the request's id.
    RequestNode,
}

/// Columns of other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Number {
    /// Milliseconds, moved so that none is negative.
    Timestamp,
    /// What the wall clock says between start and `Timestamp` more than `Duration`;
    /// zigzag.
    StartedBefore,
    /// Milliseconds.
    Duration,
    BytesUpload,
    BytesDownload,
    PacketsUpload,
    PacketsDownload,
    SourcePort,
    /// The id's time less `Timestamp`, milliseconds; zigzag.
    IdTime,
    /// The 38 bits of the id between its time and its node.
    IdCount,
    /// As `IdTime`, less the start.
    RequestTime,
    /// As `IdCount`.
    RequestCount,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Column {
    Text(Text),
    Code(Code),
    Number(Number),
    Source,
}

impl Text {
    pub(in crate::store) const ALL: [Self; 11] = [
        Self::Service,
        Self::Host,
        Self::Method,
        Self::Path,
        Self::UserId,
        Self::UserEmail,
        Self::UserAgent,
        Self::Target,
        Self::City,
        Self::Subdivision,
        Self::Metadata,
    ];
}

impl Code {
    pub(in crate::store) const ALL: [Self; 13] = [
        Self::Protocol,
        Self::Verdict,
        Self::Reason,
        Self::ObservedReason,
        Self::CloseReason,
        Self::TlsVersion,
        Self::AuthMethod,
        Self::HttpVersion,
        Self::Status,
        Self::Country,
        Self::ListenPort,
        Self::IdNode,
        Self::RequestNode,
    ];
}

impl Number {
    pub(in crate::store) const ALL: [Self; 12] = [
        Self::Timestamp,
        Self::StartedBefore,
        Self::Duration,
        Self::BytesUpload,
        Self::BytesDownload,
        Self::PacketsUpload,
        Self::PacketsDownload,
        Self::SourcePort,
        Self::IdTime,
        Self::IdCount,
        Self::RequestTime,
        Self::RequestCount,
    ];
}

impl Column {
    /// Columns of a block.
    pub(in crate::store) const COUNT: usize =
        Code::ALL.len() + Text::ALL.len() + Number::ALL.len() + 1;

    /// Its place among a block's columns: what is mostly asked for lies together.
    pub(in crate::store) const fn place(self) -> usize {
        match self {
            Self::Code(code) => code as usize,
            Self::Source => Code::ALL.len(),
            Self::Number(number) => Code::ALL.len() + 1 + number as usize,
            Self::Text(text) => Code::ALL.len() + 1 + Number::ALL.len() + text as usize,
        }
    }
}

//! Records out of a block.

use std::collections::BTreeMap;

use proxy_common::{country::Country, reason::Reason};
use smol_str::SmolStr;
use uuid::Uuid;

use super::{
    columns::timestamp,
    encoded::started,
    field::{Code, Column, Number, Text},
    id::Id,
    packed::Packed,
    reader::{Ids, Reader},
    sources::Sources,
    texts::Texts,
    varint::unzigzag,
};
use crate::{
    record::{
        AuthMethod, CloseReason, Draft, HttpPart, HttpVersion, Location, Protocol, Record, Source,
        Timestamp, TlsVersion, Verdict,
    },
    store::{StoreError, place::at},
};

/// Every column of a block.
pub(in crate::store) struct Rows {
    ids: Ids,
    codes: Vec<(Vec<u64>, Packed)>,
    numbers: Vec<Packed>,
    texts: Vec<(Texts, Packed)>,
    sources: (Sources, Packed),
}

impl Rows {
    pub(in crate::store) fn of(reader: Reader<'_>) -> Result<Self, StoreError> {
        let code = |code| Ok((reader.values(code)?, reader.packed(Column::Code(code))?));
        let text = |text| Ok((reader.texts(text)?, reader.packed(Column::Text(text))?));
        Ok(Self {
            ids: reader.ids()?,
            codes: Code::ALL.into_iter().map(code).collect::<Result<_, StoreError>>()?,
            numbers: Number::ALL
                .into_iter()
                .map(|number| reader.number(number))
                .collect::<Result<_, _>>()?,
            texts: Text::ALL.into_iter().map(text).collect::<Result<_, StoreError>>()?,
            sources: (reader.sources()?, reader.packed(Column::Source)?),
        })
    }

    pub(in crate::store) fn id(&self, row: usize) -> Uuid {
        self.ids.get(row)
    }

    /// How many rows are not above `id`.
    pub(in crate::store) fn through(&self, id: Uuid) -> usize {
        self.ids.through(id)
    }

    /// The row of that id.
    pub(in crate::store) fn find(&self, id: Uuid) -> Option<usize> {
        self.ids.find(id)
    }

    /// The record of a row. `None`: it contradicts itself.
    pub(in crate::store) fn record(&self, row: usize) -> Option<Record> {
        let logged = timestamp(self.number(Number::Timestamp, row));
        let duration_ms = self.number(Number::Duration, row);
        let started_at = started(logged, duration_ms, self.number(Number::StartedBefore, row));
        let draft = Draft {
            service_id: self.text(Text::Service, row)?,
            timestamp: logged,
            started_at,
            duration_ms,
            protocol: at(&Protocol::ALL, self.small(Code::Protocol, row)?)?,
            verdict: at(&Verdict::ALL, self.small(Code::Verdict, row)?)?,
            host: self.text(Text::Host, row)?,
            listen_port: self.code(Code::ListenPort, row)?.try_into().ok()?,
            bytes_upload: self.number(Number::BytesUpload, row),
            bytes_download: self.number(Number::BytesDownload, row),
            packets_upload: self.number(Number::PacketsUpload, row),
            packets_download: self.number(Number::PacketsDownload, row),
            source: self.source(row)?,
            source_port: self.number(Number::SourcePort, row).try_into().ok()?,
            location: self.location(row)?,
            reason: Reason::from_number(self.small(Code::Reason, row)?),
            observed_reason: Reason::from_number(self.small(Code::ObservedReason, row)?),
            close_reason: at(&CloseReason::ALL, self.small(Code::CloseReason, row)?),
            target: self.text(Text::Target, row)?,
            tls_version: at(&TlsVersion::ALL, self.small(Code::TlsVersion, row)?),
            http: match self.small(Code::AuthMethod, row)? {
                0 => None,
                method => {
                    Some(Box::new(self.request(row, at(&AuthMethod::ALL, method)?, started_at)?))
                }
            },
            metadata: self.metadata(row)?,
        };
        Some(Record { id: self.id(row), draft })
    }

    fn request(&self, row: usize, auth: AuthMethod, started_at: Timestamp) -> Option<HttpPart> {
        let time = started_at.0.wrapping_add(unzigzag(self.number(Number::RequestTime, row)));
        let (count, node) =
            (self.number(Number::RequestCount, row), self.code(Code::RequestNode, row)?);
        Some(HttpPart {
            request_id: Id { time: time.cast_unsigned(), count, node }.into(),
            method: self.text(Text::Method, row)?,
            path: self.text(Text::Path, row)?,
            status_code: self.code(Code::Status, row)?.try_into().ok()?,
            auth,
            user_id: self.text(Text::UserId, row)?,
            user_email: self.text(Text::UserEmail, row)?,
            http_version: at(&HttpVersion::ALL, self.small(Code::HttpVersion, row)?),
            user_agent: self.text(Text::UserAgent, row)?,
        })
    }

    fn location(&self, row: usize) -> Option<Location> {
        let country = match self.code(Code::Country, row)?.checked_sub(1) {
            Some(number) => Some(Country::from_number(number.try_into().ok()?)?),
            None => None,
        };
        let (city, subdivision) = (self.text(Text::City, row)?, self.text(Text::Subdivision, row)?);
        Some(Location { country, city, subdivision })
    }

    fn metadata(&self, row: usize) -> Option<BTreeMap<String, String>> {
        match self.bytes(Text::Metadata, row)? {
            [] => Some(BTreeMap::new()),
            bytes => postcard::from_bytes(bytes).ok(),
        }
    }

    fn source(&self, row: usize) -> Option<Source> {
        let (sources, codes) = &self.sources;
        sources.get(usize::try_from(codes.get(row)).ok()?).map(Source::from)
    }

    fn number(&self, number: Number, row: usize) -> u64 {
        self.numbers[number as usize].get(row)
    }

    fn code(&self, code: Code, row: usize) -> Option<u64> {
        let (values, codes) = &self.codes[code as usize];
        values.get(usize::try_from(codes.get(row)).ok()?).copied()
    }

    fn small(&self, code: Code, row: usize) -> Option<u8> {
        self.code(code, row)?.try_into().ok()
    }

    fn bytes(&self, text: Text, row: usize) -> Option<&[u8]> {
        let (texts, codes) = &self.texts[text as usize];
        texts.get(usize::try_from(codes.get(row)).ok()?)
    }

    fn text(&self, text: Text, row: usize) -> Option<SmolStr> {
        Some(str::from_utf8(self.bytes(text, row)?).ok()?.into())
    }
}

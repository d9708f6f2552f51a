//! The verdict on every address at every service, in the words that the kernel programs
//! search: the daemon searches the same.

mod classify;
mod v4;
mod v6;

use std::mem::size_of;

use ipnet::IpNet;
use proxy_common::{
    address::Address,
    classes::{
        Chunk4, Chunk6, ChunkVerdicts, Chunks, Root6, Roots4, VERDICTS, WORDS4, WORDS6, class_of,
    },
    country::Country,
    verdict::Verdict,
};

use self::{
    classify::{Classified, classify},
    v4::Words4,
    v6::Words6,
};
use super::{
    error::{Excess, MAX_BYTES, MAX_BYTES4},
    rules::Layer,
};

/// The tables of a policy.
pub struct Classes {
    roots4: Box<Roots4>,
    root6: Root6,
    words4: Vec<u32>,
    words6: Vec<u64>,
    verdicts: Vec<u16>,
    /// Where each service's verdicts begin.
    services: Vec<u32>,
    size: Size,
}

/// How large the tables of a policy are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Ranges of IPv4 addresses.
    pub ranges4: usize,
    /// Ranges of IPv6 addresses.
    pub ranges6: usize,
    /// Classes of addresses.
    pub classes: usize,
    /// What all of it takes of the kernel's memory.
    pub bytes: usize,
}

impl Classes {
    /// From the global layer, each service's own, and the country of prefixes, which are
    /// disjoint: without these no country database is loaded, or no rule asks for one.
    ///
    /// # Errors
    /// It is more than the kernel's tables hold.
    pub fn of(
        global: &Layer,
        services: &[Layer],
        countries: Option<&[(IpNet, Country)]>,
    ) -> Result<Self, Excess> {
        let classified = classify(global, services, countries)?;
        let written = Self::written(&classified);
        let bytes4 = size_of_val(&*written.words4);
        let bytes = written.size.bytes;
        if bytes > MAX_BYTES || bytes4 > MAX_BYTES4 {
            return Err(Excess::Memory {
                total: mib(bytes),
                ranges4: written.size.ranges4,
                v4: mib(bytes4),
                ranges6: written.size.ranges6,
                v6: mib(size_of_val(&*written.words6)),
                classes: written.size.classes,
                verdicts: mib(size_of_val(&*written.verdicts)),
            });
        }
        Ok(written)
    }

    fn written(of: &Classified) -> Self {
        let Words4 { roots: roots4, words: mut words4 } = Words4::of(&of.v4);
        let Words6 { root: root6, words: mut words6 } = Words6::of(&of.v6);
        let mut verdicts = of.verdicts.clone();
        // Each last chunk is whole.
        words4.resize(words4.len().next_multiple_of(WORDS4), 0);
        words6.resize(words6.len().next_multiple_of(WORDS6), 0);
        verdicts.resize(verdicts.len().next_multiple_of(VERDICTS), 0);
        let chunks = size_of_val(&*words4) + size_of_val(&*words6) + size_of_val(&*verdicts);
        let size = Size {
            ranges4: of.v4.len(),
            ranges6: of.v6.len(),
            classes: of.classes,
            bytes: size_of::<Roots4>() + size_of::<Root6>() + chunks,
        };
        Self { roots4, root6, words4, words6, verdicts, services: of.services.clone(), size }
    }

    /// What is said of an address at a service, by its place among those that this was made of.
    pub fn verdict(&self, service: usize, address: &Address) -> Verdict {
        let class = class_of((&self.roots4, &self.root6), self, address).unwrap_or(0);
        let place = self.services.get(service).map(|first| *first as usize + usize::from(class));
        place.and_then(|place| self.verdicts.get(place)).map_or(Verdict::default(), |v| Verdict(*v))
    }

    /// Where the verdicts of a service begin; of one that there is not, the first one's.
    pub fn verdicts_of(&self, service: usize) -> u32 {
        self.services.get(service).copied().unwrap_or(0)
    }

    /// How large it is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Where a search begins for IPv4.
    pub fn roots4(&self) -> &Roots4 {
        &self.roots4
    }

    /// Where it begins for IPv6.
    pub fn root6(&self) -> &Root6 {
        &self.root6
    }

    /// The ranges of IPv4.
    pub fn chunks4(&self) -> &[Chunk4] {
        self.words4.as_chunks().0
    }

    /// The tree of IPv6.
    pub fn chunks6(&self) -> &[Chunk6] {
        self.words6.as_chunks().0
    }

    /// Every class's verdict, service by service.
    pub fn verdicts(&self) -> &[ChunkVerdicts] {
        self.verdicts.as_chunks().0
    }
}

/// Nothing is restricted, anywhere.
impl Default for Classes {
    fn default() -> Self {
        Self::written(&Classified::open())
    }
}

impl Chunks for Classes {
    fn chunk4(&self, number: u32) -> Option<&Chunk4> {
        self.chunks4().get(number as usize)
    }

    fn chunk6(&self, number: u32) -> Option<&Chunk6> {
        self.chunks6().get(number as usize)
    }
}

fn mib(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}

//! A peer that must send a PROXY header is let in, and judged like everyone else.

use proxy_common::{
    address::Address,
    country::Country,
    policy::{CidrFlags, Rules, TableId},
    reason::Reason,
    verdict::{Judgement, Tables, admit, judge},
};

/// One table, number 1, that says the same of every address.
struct Everyone(CidrFlags);

impl Tables for Everyone {
    fn cidr(&self, table: TableId, _: &Address) -> CidrFlags {
        assert_eq!(table, 1);
        self.0
    }

    fn country(&self, _: TableId, _: &Address) -> Option<Country> {
        None
    }
}

#[test]
fn only_admission_knows_of_proxies() {
    let own = Rules { flags: Rules::PROXIES, cidrs: 1, ..Rules::OPEN };
    let address = Address::v4([198, 51, 100, 7]);
    let denied = Judgement { denied: Some(Reason::IpRestricted), ..Judgement::default() };
    let says = |admits: bool, tables: CidrFlags, own: &Rules| {
        let ask = if admits { admit::<Everyone> } else { judge::<Everyone> };
        ask(&Everyone(tables), &Rules::OPEN, own, &address)
    };
    let blocked = CidrFlags::BLOCKED;
    let proxy = blocked.with(CidrFlags::PROXY);
    assert_eq!(says(true, proxy, &own), Judgement::default());
    assert_eq!(says(false, proxy, &own), denied);
    assert_eq!(says(true, blocked, &own), denied);
    assert_eq!(says(true, proxy, &Rules { flags: 0, ..own }), denied);
    assert_eq!(says(false, CidrFlags::PROXY, &own), Judgement::default());
}

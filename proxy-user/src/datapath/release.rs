//! Which kernel this is, and what it is too old for.

use rustix::system::uname;

use super::TcAttachment;

/// From which on the kernel plane is used.
const PLANE_SINCE: (u32, u32) = (6, 12);

/// A kernel's release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release(String);

impl Release {
    /// This host's.
    pub fn of_host() -> Self {
        Self(uname().release().to_string_lossy().into_owned())
    }

    /// Whether the kernel plane is used there. Of a kernel that does not tell its version
    /// nothing is ruled out.
    pub fn has_plane(&self) -> bool {
        let mut numbers = self.0.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || numbers.next()?.ok();
        next().zip(next()).is_none_or(|version| version >= PLANE_SINCE)
    }

    /// What serves on it, in words. `attachment`: how programs get into TC, where there are any.
    pub fn tell(&self, attachment: Option<TcAttachment>) -> String {
        let Self(release) = self;
        let by = match attachment {
            None => return format!("kernel {release}: the relay alone serves"),
            Some(TcAttachment::Tcx) => "links of TCX",
            Some(TcAttachment::Clsact) => "filters of clsact (links take 6.6)",
        };
        let plane = match self.unfit() {
            None => "the kernel plane may serve".to_owned(),
            Some(_) => format!("no kernel plane (it takes {})", since()),
        };
        format!("kernel {release}: verdict, guard and relay serve, by {by}; {plane}")
    }

    /// Why the kernel plane is not used, in words.
    pub fn unfit(&self) -> Option<String> {
        (!self.has_plane()).then(|| format!("kernel {}: it takes {}", self.0, since()))
    }
}

fn since() -> String {
    format!("{}.{}", PLANE_SINCE.0, PLANE_SINCE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(release: &str, attachment: Option<TcAttachment>) -> String {
        Release(release.to_owned()).tell(attachment)
    }

    #[test]
    fn each_kernel_is_told_what_it_can_do() {
        assert_eq!(
            told("6.1.0-50-amd64", Some(TcAttachment::Clsact)),
            "kernel 6.1.0-50-amd64: verdict, guard and relay serve, by filters of clsact (links \
             take 6.6); no kernel plane (it takes 6.12)"
        );
        assert_eq!(
            told("6.12.0-amd64", Some(TcAttachment::Tcx)),
            "kernel 6.12.0-amd64: verdict, guard and relay serve, by links of TCX; the kernel \
             plane may serve"
        );
        assert_eq!(told("6.18.44", None), "kernel 6.18.44: the relay alone serves");
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (release, has_plane) in
            [("6.9.1", false), ("6.11-rc1", false), ("6.12", true), ("7.0.3", true), ("x", true)]
        {
            assert_eq!(Release(release.to_owned()).has_plane(), has_plane, "{release}");
        }
    }
}

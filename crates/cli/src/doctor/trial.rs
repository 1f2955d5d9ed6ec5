//! A try of what `warren run` begins with: a user namespace, and the others in it.

use rustix::io::Errno;
use warren_namespaces::Kind;

/// How the kernel answered for each kind; `None` where it was not asked, since there
/// was no user namespace to ask in.
pub struct Trial {
    answers: [Option<Result<(), Errno>>; 8],
}

impl Trial {
    pub fn answer(&self, kind: Kind) -> Option<Result<(), Errno>> {
        self.answers[kind as usize]
    }

    #[cfg(test)]
    pub fn of(answer: impl Fn(Kind) -> Option<Result<(), Errno>>) -> Self {
        Self {
            answers: Kind::ALL.map(answer),
        }
    }
}

/// Moves this process into new namespaces of all kinds, one after the other.
///
/// Nothing but reading tells as much: a limit of a user namespace above, a security
/// module, a filter, all say no only when asked. Little is done afterwards: the report
/// is printed and the process ends, and the namespaces with it.
pub fn run() -> Trial {
    let mut answers = [None; 8];
    let user = warren_sys::unshare(Kind::User.clone_flag());
    answers[Kind::User as usize] = Some(user);
    if user.is_ok() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::User) {
            answers[kind as usize] = Some(warren_sys::unshare(kind.clone_flag()));
        }
    }
    Trial { answers }
}

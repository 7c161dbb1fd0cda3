//! Files as somebody else may read them, asked of the kernel: folders, groups and access control lists count as they
//! do for him.

use nix::unistd::{Gid, Uid, getgroups, setfsgid, setfsuid, setgroups};

use super::facts::Reader;

/// Reads files with this reader's rights, on this thread; `None` where those cannot be had, as they cannot without
/// root's. Only for a command that has nothing else to do: the groups are the whole process's meanwhile.
pub fn as_reader<T>(reader: &Reader, read: impl FnOnce() -> T) -> Option<T> {
    let _borrowed = Borrowed::from(reader)?;
    Some(read())
}

/// What is given back at the end.
struct Borrowed {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Borrowed {
    fn from(reader: &Reader) -> Option<Borrowed> {
        let wanted: Vec<Gid> = reader.gids.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(reader.uid), *wanted.first()?);
        let groups = getgroups().ok()?;
        setgroups(&wanted).ok()?;
        // The user last: with root's go the rights to change the others.
        let before = Borrowed { gid: setfsgid(gid), uid: setfsuid(uid), groups };
        // These two do not say whether they did it, but what was so before.
        let done = setfsgid(gid) == gid && setfsuid(uid) == uid;
        done.then_some(before)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
        // What was taken from is given back to: it cannot be refused.
        let _given_back = setgroups(&self.groups);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, Permissions, set_permissions};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn root_sees_what_another_user_may_not_read_and_is_root_again_afterwards() {
        let reader = |gids: &[u32]| Reader {
            name: "somebody".to_owned(),
            uid: 54_321,
            gids: gids.to_vec(),
            capabilities: None,
        };
        let path = std::env::temp_dir().join(format!("kordon-reading-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let found = |mode: u32, reader: &Reader| {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            as_reader(reader, || File::open(&path).map(drop).map_err(|error| error.kind()))
        };
        let stranger = reader(&[54_321]);
        // The file's group is the one of whoever runs this.
        let of_the_group = reader(&[54_321, nix::unistd::getegid().as_raw()]);
        let seen = [
            found(0o600, &stranger),
            found(0o640, &stranger),
            found(0o640, &of_the_group),
            found(0o644, &stranger),
        ];
        let own = found(0o400, &reader(&[54_321])).is_some() && File::open(&path).is_ok();
        std::fs::remove_file(&path).unwrap();
        if !nix::unistd::geteuid().is_root() {
            return assert_eq!(seen, [None; 4], "nobody else can look with another's eyes");
        }
        let denied = Some(Err(ErrorKind::PermissionDenied));
        assert_eq!(seen, [denied, denied, Some(Ok(())), Some(Ok(()))]);
        assert!(own, "root again");
    }
}

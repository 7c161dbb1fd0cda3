//! Configurations for the tests of several rooms.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Config;
use crate::failure::Failure;

/// A folder of its own, gone at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "kordon-config-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("conf.d")).unwrap();
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn load(&self, text: &str) -> Result<Config, Failure> {
        Config::load(&self.write("kordon.toml", text))
    }

    /// The refusal of this text, with the folder's path taken out.
    pub(crate) fn refusal(&self, text: &str) -> (u8, String) {
        let failure = self.load(text).expect_err(text);
        (failure.status.code(), self.strip(&failure.message))
    }

    pub(crate) fn strip(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

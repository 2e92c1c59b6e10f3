//! Where a measurement takes place: a temporary folder, a broker process in it, and the admin of the example company.

use std::{
    fs,
    path::{Path, PathBuf},
};

use daypass_sdk::{Address, Connection, Directory, Home, make_private_folder};

use crate::{
    broker_process::{BrokerProcess, Site, copy_folder},
    console::Console,
    example,
    failure::Failure,
    quickstart::interrupted,
};

/// A broker of one measurement, and the copy of it that is worked on, if there is one.
#[derive(Debug)]
pub(super) struct Stage {
    original: Place,
    copy: Option<Place>,
    broker: Option<BrokerProcess>,
}

/// The broker's folder and the homes of its clients.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    site: Site,
}

/// Measures on a stage, or until somebody interrupts. The broker is told to stop and the folder is removed, however it
/// went; if it went wrong, the end of the broker's log is told.
pub(super) async fn perform<T>(
    console: &Console,
    measure: impl AsyncFnOnce(&mut Stage) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let folder = example::temporary_folder("daypass-bench-")?;
    let original =
        Place { site: Site::prepare(folder.path().join(BROKER))?, folder: folder.path().to_owned() };
    let mut stage = Stage { original, copy: None, broker: None };
    let measured = tokio::select! {
        measured = measure(&mut stage) => measured,
        () = interrupted() => Err(Failure::Interrupted),
    };
    let stopped = stage.stop().await;
    measured.and_then(|measured| stopped.map(|()| measured)).inspect_err(|_| {
        if let Some(tail) = stage.place().site.log_tail() {
            console.say(format_args!("the end of the broker's log:\n{tail}"));
        }
    })
}

impl Stage {
    /// Starts a new broker with the example company in it, and enrols its first admin.
    pub(super) async fn begin(&mut self) -> Result<Directory, Failure> {
        let Place { folder, site } = &self.original;
        let key = example::admin_key(folder)?;
        let code = site.init(example::ADMIN, &key.public).await?.code()?;
        let address = self.broker.insert(site.serve().await?).address();
        let admin = example::enroll_admin(folder, address, &code, key.key).await?;
        let admin = Directory::over(Connection::open(&admin).await?);
        example::load(&admin).await?;
        Ok(admin)
    }

    /// Starts a broker on a copy of the original, at the address that is known to its clients. The admin's home is copied
    /// as well: what it knows of the log goes as far as the copy's. No other broker may be running.
    pub(super) async fn open_copy(&mut self, address: &Address) -> Result<(), Failure> {
        let folder = self.original.folder.join("copy");
        make_private_folder(&folder)?;
        copy_folder(&self.original.folder.join(ADMIN_HOME), &folder.join(ADMIN_HOME))
            .map_err(|error| Failure::Internal(format!("cannot copy the admin's home: {error}")))?;
        let site = self.original.site.copy_to(folder.join(BROKER))?;
        site.configure(&address.to_string())?;
        let copy = self.copy.insert(Place { folder, site });
        self.broker = Some(copy.site.serve().await?);
        Ok(())
    }

    /// Stops the broker on the copy, and removes that.
    pub(super) async fn close_copy(&mut self) -> Result<(), Failure> {
        self.stop().await?;
        let Some(copy) = self.copy.take() else { return Ok(()) };
        fs::remove_dir_all(copy.folder)
            .map_err(|error| Failure::Internal(format!("cannot remove the copy: {error}")))
    }

    /// Stops the broker; none is running afterwards.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        match self.broker.take() {
            Some(broker) => broker.stop().await,
            None => Ok(()),
        }
    }

    fn place(&self) -> &Place {
        self.copy.as_ref().unwrap_or(&self.original)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.place().folder
    }

    /// The home of somebody who was enrolled here.
    pub(super) fn home(&self, name: &str) -> Home {
        Home::at(self.folder().join(name))
    }

    /// Where the broker is.
    pub(super) fn address(&self) -> Result<Address, Failure> {
        let broker = self.broker.as_ref();
        broker
            .map(|broker| broker.address().clone())
            .ok_or_else(|| Failure::Internal("no broker is running".into()))
    }
}

const BROKER: &str = "broker";
/// Where the example's first admin lives.
pub(super) const ADMIN_HOME: &str = "admin";

//! The directory: reading and writing single objects, and planning many. Who may is the broker's to say. The objects are the wire's own.

use daypass_credential::{Name, NodeId, NodeKind, Revision};
use daypass_proto::v1::{self, directory_service_client::DirectoryServiceClient};

use crate::{
    Connection, Error,
    retry::{self, Repeat},
};

/// A connection that reads and writes the directory: an admin all of it, others what concerns them.
#[derive(Debug, Clone)]
pub struct Directory {
    connection: Connection,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// When the object was last written.
    pub revision: Revision,
    /// False if it was as asked already.
    pub written: bool,
    /// True if what was minted under it before is dead from now on.
    pub cut: bool,
}

impl Directory {
    /// The directory as the one at the end of this connection sees it.
    #[must_use]
    pub const fn over(connection: Connection) -> Self {
        Self { connection }
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes an object, or changes it. With `expected`, only if it was last written then; zero demands a new one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, object: v1::Object, expected: Option<Revision>) -> Result<Written, Error> {
        let request = v1::PutObjectRequest {
            object: Some(object),
            expected_revision: expected.map(Revision::get),
            request_id: retry::request_id()?,
        };
        let send = |channel| {
            let request = request.clone();
            async move { DirectoryServiceClient::new(channel).put_object(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        Ok(Written { revision: Revision::new(answer.revision), written: answer.written, cut: answer.cut })
    }

    /// Says what writing these objects in this order would do, and writes nothing: one answer for each, in that order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plan(&self, objects: Vec<v1::Object>) -> Result<v1::PlanObjectsResponse, Error> {
        let asked = objects.len();
        let request = v1::PlanObjectsRequest { objects };
        let send = |channel| {
            // The answer holds every object as it stands, beside what is said of it.
            let mut stub = DirectoryServiceClient::new(channel).max_decoding_message_size(PLAN_MAX);
            let request = request.clone();
            async move { stub.plan_objects(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        if answer.objects.len() != asked {
            return Err(Error::BadAnswer("the plan is of other objects"));
        }
        Ok(answer)
    }

    /// Erases the texts about a person who was ended; the answer is when that was. Again is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn forget_person(&self, name: &Name) -> Result<Revision, Error> {
        let request = v1::ForgetPersonRequest { name: name.to_string(), request_id: retry::request_id()? };
        let send = |channel| {
            let request = request.clone();
            async move { DirectoryServiceClient::new(channel).forget_person(request).await }
        };
        Ok(Revision::new(self.connection.call(Repeat::Harmless, send).await?.revision))
    }

    /// Reads one object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn object(&self, id: &NodeId) -> Result<v1::StoredObject, Error> {
        let request = v1::GetObjectRequest { id: id.to_string() };
        let send = |channel| {
            let request = request.clone();
            async move { DirectoryServiceClient::new(channel).get_object(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        answer.object.ok_or(Error::BadAnswer("the object is missing"))
    }

    /// Reads a page of a kind, by name; `after` is the token of the page before, or empty.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn page(
        &self,
        kind: NodeKind,
        size: u32,
        after: &str,
    ) -> Result<v1::ListObjectsResponse, Error> {
        let request =
            v1::ListObjectsRequest { kind: kind.to_string(), page_size: size, page_token: after.to_owned() };
        let send = |channel| {
            let request = request.clone();
            async move { DirectoryServiceClient::new(channel).list_objects(request).await }
        };
        self.connection.call(Repeat::Harmless, send).await
    }

    /// Reads all of a kind, page by page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn all(&self, kind: NodeKind) -> Result<Vec<v1::StoredObject>, Error> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.page(kind, PAGE, &after).await?;
            all.extend(page.objects);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            if page.next_page_token == after {
                return Err(Error::BadAnswer("the list does not move on"));
            }
            after = page.next_page_token;
        }
    }
}

const PAGE: u32 = 500;
/// The largest plan that is read, in bytes.
const PLAN_MAX: usize = 32 * 1024 * 1024;

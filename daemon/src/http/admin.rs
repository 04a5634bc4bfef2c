//! What an owner asks of the daemon itself.

use hyper::StatusCode;

use super::respond::{self, Answer};
use super::{Call, Error};
use crate::catalog::permission::InstanceRole;
use crate::sealer::NotSealed;

/// `POST /api/admin/seal`: closes the open log, and answers when all logs that are closed are sealed, with how much is.
pub(super) async fn seal(call: &Call<'_>) -> Result<Answer, Error> {
    if call.token.instance_role != InstanceRole::Owner {
        return Err(Error::Denied("Forbidden"));
    }
    match call.state.appender.seal().await {
        Ok(()) => Ok(respond::json(StatusCode::OK, &call.state.store.sealed())),
        Err(NotSealed::DiskFull) => Err(Error::DiskFull),
        Err(NotSealed::Kept) => Err(Error::NotSealed),
        Err(NotSealed::Stopping) => Err(Error::NotReady),
    }
}

//! `hitkeepd token`: a new token for an owner who has lost the old one.

use std::io::Write;

use super::args::{TokenAction, TokenArguments};
use super::error::Error;
use crate::config::{Config, Environment};
use crate::identity;

/// Makes the token, and prints where it is: not the token, which would stay in the terminal's history.
pub(crate) fn run(arguments: &TokenArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let TokenAction::ResetOwner { settings } = &arguments.action;
    let config = Config::load(&settings.0, environment)?;
    let path = identity::reset_owner(&config)?;
    writeln!(out, "the new owner token is in {}; the old one is worth nothing any more", path.display())?;
    Ok(())
}

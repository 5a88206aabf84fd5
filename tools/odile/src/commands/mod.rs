//! The commands, one file for each topic.

mod cert;
mod change;
mod config;
mod doctor;
mod envelope;
mod generate;
mod init;
mod listing;
mod partner;
mod partner_file;
mod receipt;
mod receive;
mod send;
mod serve;
mod tune;

use odile_station::StationError;
use odile_station::catalog::Catalog;

use crate::cli::{Command, ConfigCommand, PartnerCommand};
use crate::context::Context;
use crate::demo;
use crate::exit::{Exit, Failure};
use crate::link;

/// Does what was typed.
pub fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(context, &args),
        Command::Init(args) => init::run(context, &args),
        Command::Partner(PartnerCommand::Add(args)) => partner::add(context, &args),
        Command::Partner(PartnerCommand::List) => partner::list(context),
        Command::Partner(PartnerCommand::Show { name }) => partner::show(context, &name),
        Command::Cert(command) => cert::run(context, command),
        Command::Config(ConfigCommand::Check) => config::check(context),
        Command::Doctor => Ok(doctor::run(context)),
        Command::Tune(args) => tune::run(context, &args),
        Command::Serve(args) => serve::run(context, &args),
        Command::Send(args) => send::run(context, &args),
        Command::Receive(args) => receive::run(context, &args),
        Command::Queue => listing::queue(context),
        Command::History(args) => listing::history(context, &args),
        Command::Show(args) => listing::show(context, args.transfer),
        Command::Cancel(args) => change::cancel(context, args.transfer),
        Command::Retry(args) => change::retry(context, args.transfer),
        Command::Receipt(command) => receipt::run(context, command),
        Command::Seal(args) => envelope::seal(context, &args),
        Command::Open(args) => envelope::open(context, &args),
        Command::Link(command) => link::run(context, &command),
        Command::Generate(what) => generate::run(&what),
    }
}

/// The catalog of this home; `None` if nothing was ever sent or received.
fn open_catalog(context: &Context) -> Result<Option<Catalog>, Failure> {
    let home = &context.home;
    if !home.station_file().exists() {
        return Err(StationError::NoStation { path: home.root().into() }.into());
    }
    let path = home.catalog();
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Catalog::open(&path)?))
}

//! `odile cancel` and `odile retry`: through the station that runs, or else in the catalog, by the same rules.

use odile_station::catalog::{CatalogError, OutboundChange, OutboundState, TransferRef};
use odile_station::control::Request;
use serde_json::json;

use super::open_catalog;
use crate::access::{ask, connect};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn cancel(context: &Context, transfer: TransferRef) -> Result<Exit, Failure> {
    let change = OutboundChange::to(OutboundState::Cancelled).detail("cancelled by the operator");
    let request = Request::Cancel { transfer: transfer.to_string() };
    apply(context, transfer, &request, &change)?;
    Ok(done(context, transfer, "cancelled", "is cancelled"))
}

pub fn retry(context: &Context, transfer: TransferRef) -> Result<Exit, Failure> {
    let change =
        OutboundChange::to(OutboundState::Queued).not_before_ms(0).detail("tried again by the operator");
    let request = Request::Retry { transfer: transfer.to_string() };
    apply(context, transfer, &request, &change)?;
    Ok(done(context, transfer, "queued", "is queued and due now"))
}

fn apply(
    context: &Context,
    transfer: TransferRef,
    request: &Request,
    change: &OutboundChange,
) -> Result<(), Failure> {
    let TransferRef::Outbound(id) = transfer else {
        return Err(Failure::usage(format!(
            "{transfer} is a file that a partner sends: only the partner can do that"
        )));
    };
    if let Some(mut client) = connect(context)? {
        return ask(&mut client, request).map(|_| ());
    }
    let Some(mut catalog) = open_catalog(context)? else {
        return Err(CatalogError::NoSuchTransfer { transfer }.into());
    };
    Ok(catalog.set_outbound(id, change, jiff::Timestamp::now().as_millisecond())?)
}

fn done(context: &Context, transfer: TransferRef, state: &str, sentence: &str) -> Exit {
    if context.is_json() {
        output::json(&json!({ "transfer": transfer, "state": state }));
    } else {
        output::line(&format!("{transfer} {sentence}"));
    }
    Exit::Done
}

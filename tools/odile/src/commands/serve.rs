//! `odile serve`.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use odile_station::{Calls, Event, Listen, Options, Station};

use crate::access::refuse_unable;
use crate::cli::ServeArgs;
use crate::context::{Context, Verbosity};
use crate::exit::{Exit, Failure};
use crate::{journal, output, signals};

/// What the thread that writes the log gets.
enum Entry {
    Event(Event),
    End,
}

pub fn run(context: &Context, args: &ServeArgs) -> Result<Exit, Failure> {
    let configuration = context.home.load()?;
    let base = Options { target: args.target, ..Options::for_this_machine() };
    let options = args.tuning.apply(base);
    refuse_unable(&options).map_err(Failure::usage)?;
    let (stop, stopped) = mpsc::channel();
    // Before anything is open: a signal that comes early must not be lost.
    signals::forward(stop.clone())?;
    let (log, entries) = mpsc::channel();
    let writer = thread::spawn({
        let (is_json, verbosity) = (context.is_json(), context.verbosity);
        move || write(&entries, is_json, verbosity)
    });
    let sink = {
        let log = log.clone();
        Arc::new(move |event: &Event| {
            let _ = log.send(Entry::Event(event.clone()));
        })
    };
    let listen = Listen {
        plain: args.listen.or(configuration.station.listen),
        tls: args.listen_tls.or(configuration.station.listen_tls),
    };
    let station = Station::start(context.home.clone(), options, listen, Calls::All, sink)?;
    if listen.is_nowhere() {
        context
            .note("odile: partners cannot call, and outboxes are not watched: set `listen` in station.toml");
    }
    if args.until_input_closes {
        watch_input(stop);
    }
    let why = stopped.recv().unwrap_or_default();
    context.note(&format!("odile: {why}: stopping"));
    station.stop();
    let _ = log.send(Entry::End);
    let _ = writer.join();
    Ok(Exit::Done)
}

fn write(entries: &Receiver<Entry>, is_json: bool, verbosity: Verbosity) {
    while let Ok(Entry::Event(event)) = entries.recv() {
        if verbosity == Verbosity::Quiet && !event.is_trouble() {
            continue;
        }
        output::note(&if is_json { journal::json(&event).to_string() } else { journal::text(&event) });
    }
}

fn watch_input(stop: Sender<String>) {
    thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        let _ = stop.send("standard input was closed".to_owned());
    });
}

//! The program `floe`: demonstrates and drives ICE agents.

mod demo;
mod peer;
mod serve;
mod sim;

use std::{net::IpAddr, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};

/// Finds a path for datagrams between two hosts (ICE, RFC 8445).
#[derive(Debug, Parser)]
#[command(name = "floe", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connects two agents on this host, directly and over a relay, and shows how
    Demo(DemoArguments),
    /// Is one agent that another program drives over standard input and output (docs/peer-protocol.md)
    Peer,
    /// Runs sessions over every pair of NAT kinds on a virtual network, and says what came of them
    Sim(sim::SimArguments),
}

/// What `floe demo` may be told.
#[derive(Debug, clap::Args)]
struct DemoArguments {
    /// Prints one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Address of this host that the embedded STUN and TURN server uses
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: IpAddr,
    /// Lets --address be another than a loopback address
    #[arg(long)]
    not_only_loopback: bool,
}

/// Exit status of an error of use, as of most programs.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    if let Command::Sim(arguments) = &arguments.command {
        return match sim::run(arguments) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(reason) => fail(&reason),
        };
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no asynchronous runtime: {error}")),
    };
    match arguments.command {
        Command::Demo(arguments) => {
            if !arguments.address.is_loopback() && !arguments.not_only_loopback {
                eprintln!(
                    "floe: --address {} is no loopback address: the server of the demonstration is not made for a \
                     network (--not-only-loopback allows it)",
                    arguments.address
                );
                return ExitCode::from(USAGE);
            }
            match runtime.block_on(demo::run(arguments.address, arguments.json)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => fail(&reason),
            }
        }
        // Needs no runtime, and was run above.
        Command::Sim(_) => ExitCode::SUCCESS,
        Command::Peer => {
            let ended = runtime.block_on(peer::run());
            // A read of standard input may still be waiting in a thread of the runtime: nobody waits for it.
            runtime.shutdown_background();
            match ended {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => fail(&reason),
            }
        }
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("floe: {reason}");
    ExitCode::FAILURE
}

/// Help and version are printed as they are; an error of use is one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nothing can be done about a closed standard output.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or("wrong usage").trim_start_matches("error: ");
    let what = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        "a command is missing: demo, peer or sim"
    } else {
        what
    };
    let detail: Vec<&str> =
        lines.take_while(|line| !line.starts_with("Usage") && !line.starts_with("For more")).collect();
    let detail = if detail.is_empty() || what.starts_with("a command is missing") {
        String::new()
    } else {
        format!(" ({})", detail.join("; "))
    };
    eprintln!("floe: {what}{detail}; `floe --help` tells more");
    ExitCode::from(USAGE)
}

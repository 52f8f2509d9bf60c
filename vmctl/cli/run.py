"""`vmctl run`: keep the host as directories of manifests say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from vmctl.cli import output, working
from vmctl.cli.durations import DURATION
from vmctl.cli.options import pass_session, recursive_option, verb
from vmctl.cli.pruning import limit, prune_options
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.engine.keeping import Order


@verb(
    "run",
    examples="""
    vmctl run -f machines/
    vmctl run -f /srv/machines -R --prune --listen 127.0.0.1:9177
    vmctl run -f machines/ --once
    vmctl run -f /srv/machines --print-unit > /etc/systemd/system/vmctl.service
    """,
)
@click.option("-f", "--filename", metavar="DIR", multiple=True, type=click.Path(),
              help="A directory of manifests to watch. May be repeated.")  # fmt: skip
@recursive_option
@prune_options
@click.option("--prune-delay", type=DURATION, default="30s", show_default=True, metavar="TIME",
              help="How long an object has to be absent before it is pruned.")  # fmt: skip
@click.option("--resync", type=DURATION, default="60s", show_default=True, metavar="TIME",
              help="How often everything is compared, whatever events say.")  # fmt: skip
@click.option("--listen", metavar="ADDRESS", default="",
              help="Serve /metrics, /healthz and /readyz on HOST:PORT or unix:PATH.")  # fmt: skip
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How log lines are written.")
@click.option("--once", is_flag=True, help="Converge once, as `apply --keep-going` does, and end.")
@click.option("--print-unit", is_flag=True, help="Print a systemd unit that runs this command, and end.")
@click.option("-v", "--verbose", is_flag=True, help="Log passes that change nothing, too.")
@pass_session
def command(
    session: Session,
    filename: tuple[str, ...],
    recursive: bool,
    prune: bool,
    prune_max: str | None,
    prune_delay: float,
    resync: float,
    listen: str,
    log_format: str,
    once: bool,
    print_unit: bool,
    verbose: bool,
) -> int:
    """Keep the host as the manifests say, until told to end.

    What is saved is carried out at once, and so is what changes on the host. One bad file stops only itself: what it
    declared stays as it last was. SIGTERM ends this process and no machine; SIGHUP reads everything anew. Other verbs
    work as ever, and the work is done here.
    """
    from vmctl.engine import gathering, logs
    from vmctl.engine.keeping import Order, keep

    if not filename or "-" in filename:
        raise UsageError("say which directories to watch", remedy="for example  vmctl run -f machines/")
    if resync <= 0:
        raise UsageError("--resync must be a time to wait", remedy="for example  --resync 60s")
    pruning = gathering.Pruning(0.0 if once else prune_delay, limit(prune_max)) if prune else None
    order = Order(gathering.watched(filename), recursive, pruning, resync, listen)
    if print_unit:
        output.data(_unit(session, order, _spelled(click.get_current_context())))
        return 0
    if once:
        return _once(session, order)
    logs.configure("json" if log_format == "json" else "text", verbose=verbose)
    if keep(session.settings, order, waiting=output.remark):
        return 0
    output.flush()
    os._exit(0)  # a pass that does not end must not keep us: what it had begun is in the journal


def _once(session: Session, order: Order) -> int:
    """One convergence over what the directories say now."""
    from vmctl.engine import keeping, logs
    from vmctl.engine.clock import SystemClock

    logs.keep_quiet()
    clock = SystemClock()
    with (
        keeping.at_work(session.settings, clock, output.remark) as engine,
        keeping.gatherer(session.settings, engine, order) as gathered,
    ):
        engine.listed = engine.driver.listing()  # before anything is written: without a host nothing is changed
        while (look := gathered.look()).put_off:
            clock.sleep(keeping.LOCK_POLL_S)
        for problem in look.bad:
            output.problem(problem)
        for each in look.applied:
            output.line(str(each))
        for refusal in dict.fromkeys(look.withheld.values()):
            output.remark(f"nothing is pruned: {refusal.message}; {refusal.remedy}")
        output.flush()
        result = working.converge(engine, engine.unsettled())
        code = working.report(result, look.declared, engine, wait=False)
    return working.SOME_FAILED if (look.bad or look.withheld) and code == 0 else code


def _unit(session: Session, order: Order, options: list[str]) -> str:
    """A unit for what was asked, with paths and settings that mean the same from anywhere."""
    from vmctl.cli.systemd_unit import unit

    settings = session.settings
    words = ["run", *(word for each in order.directories for word in ("-f", each)), *options]
    words += ["--state-dir", str(settings.state_dir), "--libvirt-uri", settings.libvirt_uri]
    return unit(words, order.directories, settings.state_dir, root=os.geteuid() == 0)


def _spelled(context: click.Context) -> list[str]:
    """The options that were given beside those that `_unit` and this process see to themselves."""
    words: list[str] = []
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in ("filename", "print_unit", "once"):
            flag = max(parameter.opts, key=len)
            words += [flag] if value is True else [f"{flag}={value}"]
    return words

"""The machinery that makes the host match: passes over objects, a queue of names, steps with a journal.

One pass
    passes        one object: observe, plan, record its status, carry its steps out, until there are none
    observing     all that its rules may look at, as one value
    executing     carries steps out, each with a journal entry before and a record after
    powering      the steps that define, start and stop; what is meant is noted before it is done
    live          the steps that change a machine while it runs

Many passes
    convergence   the queue of names, and the threads that run passes over them
    ledger        the objects in memory, in step with the store; the one writer of what passes record
    settled       what is at rest, and needs no pass until something about it moves
    tidying       clears up what nobody names any more

A verb
    session       its hold on the store, the driver and the lock
    pursuing      its way to its goal: works itself, rests, or follows
    following     has whoever holds the lock do its work, and watches that come to rest
    serving       the other side: the holder of the lock takes up what others ask for, and answers

The daemon, `vmctl run`
    keeping       puts it together and takes it apart: lock, watches, bell, signals, metrics, loop
    running       its loop: every source of work, looks, resyncs, and rest
    gathering     a look at its directories: what is good goes into the store, what is bad stays as it was
    rebooting     makes a guest's own reboot a cold start when changes wait for one
    supervision   what systemd is told
    logs          its log records, with the pass that they were written in
    tally         what it counts
    metrics       what a scrape is told, from tally and ledger
    exposition    the server of /metrics, /healthz and /readyz

From manifests to the store
    applying      judges everything, then writes all of it at once
    once          what is carried out once, as long as its document stays
    pruning       what left a directory goes, unless it holds data or looks like an accident
    provenance    from which commit, file and line an object is
    origins       whether a file declares an object, or the store alone

What verbs do beside that
    previewing    diff and dry runs: the same planning over the world as it would be
    editing       edit, patch, label, annotate: one object, in its file and in the store
    patches       a change as a text for whoever may write the file
    operating     start, stop, restart, evict: judged first, then an operation is made
    deleting      delete: by name, data included; by file, data kept
    withdrawing   delete of what a file declares: out of the file too, or refused
    doctor        whether machines can run on this host
    host_checks   what doctor finds out without libvirt
    findings      what an examination finds, as values

For all of them
    settings      where libvirt and the state are
    built_in      the objects that are there undeclared
    freshness     how old what the store says is, without an engine at work
    warning       a warning of an object: an event, and a line of the log
    clock         time, injected
"""

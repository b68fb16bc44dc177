"""Runs apps: each in a process of its own that sees the SDK and what its manifest was granted, and nothing else.
Decision 0046.

    runner.py      one app of one tenant: started, given what comes, asked, ended, started anew, halted
    giving.py      samples.py (each at least once), jobs.py (when they are due), events
    process.py     the platform's end of the pipes      words.py    what goes through them
    child.py       the app's end: importer.py (modules from memory), inside.py (its Context)
    answers.py     what it asks, checked against granted.py: what it was granted, of its tenant's, as declared
    tables.py documents.py http.py signing.py    what is its own, hosts that it calls, the platform's signatures
    abilities.py   what the platform lends, and what it is told
    desk.py        what people do with apps: install, take in, update, go back; using.py: call, pages (decision 0047)
    keeper.py      makes what runs be what is wanted; register.py: the wishes, shelf.py: releases.py that were brought
    table_copies.py taking_out.py    tables from before an update, and all that an app keeps as a zip
"""

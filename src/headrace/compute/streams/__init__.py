"""Stream functions at work: windows in event time over columns, state by key, outputs that can be made again.

    rows.py     samples that wait             lateness.py  how far each key is, sample by sample
    closing.py  windows that are complete     joining.py   inputs become one table
    calling.py  the function is called        engine.py    all of that, pure
    keeping.py  what survives a restart       job.py       from a feed, through an engine, into history
    feeds.py    history and the bus as feeds      stretch.py  back-tests
    cell.py     a process for those that nobody vouches for
    register.py versions                          desk.py     what runs in a platform
    models.py   ONNX models as functions          placing.py  hub or workers
    feeding.py  what is stored, to workers        elsewhere.py  what workers make, held against what was declared

Why it is so: docs/decisions/0041-stream-functions.md.
"""

"""`python -m bench.history JOB`: one historian in one process; see child.py. The bench itself is `python -m bench`."""

from bench.history.child import main

if __name__ == "__main__":
    main()

"""A static site over many fields: `python -m scoring.site <results>... --output=site/`.

A field is suite x ruleset x hardware; each has a board. All pages are views of the documents that scoring writes
(`scores.json`), and nothing is computed twice: what is here arranges, and says who improved a record when.

    __main__.py     the command
    fields.py       which fields results belong to; those that ship with the package
    build.py        scores fields whose inputs have changed, writes pages, takes away those that nobody links any more
    inputs.py       a digest of all that decides a field's scores
    boards.py       a scored field as pages see it: names, addresses, rows
    history.py      dates of entries, and the records that each improved
    board_page.py, entry_page.py, workload_page.py, index_page.py, method_page.py    one page each
    frame.py        what all pages share; charts.py: bars and steps as SVG; assets/site.css

Pages load nothing but each other and run nothing, so they work from a disk; every text goes through `markup.safe`.
"""

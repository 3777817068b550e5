"""The labelling page: a server for one person's browser, on the machine that holds the micrographs.

    browser <-> server -> routes -> session (labels on disk), images (tiles), candidates (picks), training

Nothing that a request says becomes a path: micrographs are numbers, static files are looked up in a table.
"""

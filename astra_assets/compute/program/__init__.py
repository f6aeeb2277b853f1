"""Programs of other people as steps: a table of inputs in, a table of results out, or Astra's own command line.

`call` says how a program is called here, `process` and `guard` run it, `output` is what it prints; `manifest`, `tables` and
`judge` are the tables it is given and gives back. `files_run` and `astra_run` are runs of a task; `written` collects what a
program wrote to the database itself. How a step declares its program is said in `astra_assets.pipelines.base`.
"""

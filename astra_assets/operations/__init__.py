"""The verbs, one module each with a function of its name; the command line and the Dagster assets share them."""

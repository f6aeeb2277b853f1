"""One module for each verb; the command line and the Dagster assets share them."""

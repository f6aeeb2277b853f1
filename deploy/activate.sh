
# --- astra_assets: what `dagster` and `dg` need; nothing that is already set is overridden ---
export DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME="${DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME:-astra_assets.definitions}"
export DAGSTER_HOME="${DAGSTER_HOME:-@PROJECT@/.dagster}"

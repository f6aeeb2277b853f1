"""Columns of our own tables: batches of work, their outcomes, and the files that were ingested."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

COMPUTE = {
    "batch_id": Definition(Kind.text, "Identifier of the batch of work", ucd="meta.id"),
    "pipeline": Definition(Kind.text, "Name of the pipeline", ucd="meta.id"),
    "step": Definition(Kind.text, "Step of the pipeline", ucd="meta.id"),
    "code_version": Definition(Kind.text, "Version of the code of the pipeline", ucd="meta.version"),
    "state": Definition(
        Kind.text, "State of the batch, or skipped or failed for an outcome", ucd="meta.code.status"
    ),
    "backend": Definition(Kind.text, "Where the batch runs: local or slurm", ucd="meta.id"),
    "n_inputs": Definition(Kind.int32, "Number of inputs of the batch", ucd="meta.number"),
    "n_tasks": Definition(Kind.int32, "Number of tasks the batch is cut into", ucd="meta.number"),
    "procs": Definition(Kind.int32, "Number of processes of a task", ucd="meta.number"),
    "directory": Definition(Kind.text, "Directory of the batch", ucd="meta.id;meta.file"),
    "planned": Definition(Kind.datetime, "When the batch was planned (UTC)", ucd="time.creation"),
    "started": Definition(Kind.datetime, "When the batch was started (UTC)", ucd="time.start"),
    "finished": Definition(Kind.datetime, "When the batch was collected or cancelled (UTC)", ucd="time.end"),
    "n_results": Definition(Kind.int32, "Number of results collected", ucd="meta.number"),
    "n_failed": Definition(Kind.int32, "Number of inputs that failed", ucd="meta.number"),
    "n_skipped": Definition(Kind.int32, "Number of inputs that were skipped", ucd="meta.number"),
    "job": Definition(
        Kind.text, "What the backend calls the batch: process or job identifiers", ucd="meta.id"
    ),
    "code": Definition(Kind.text, "Reason of the outcome, one word", ucd="meta.code"),
    "message": Definition(Kind.text, "Reason of the outcome in full", ucd="meta.note"),
    "attempts": Definition(Kind.int32, "How many times the input was tried", ucd="meta.number"),
}

INGEST = {
    "path": Definition(Kind.text, "Path of the file", ucd="meta.id;meta.file"),
    "size": Definition(Kind.int64, "Size of the file", "byte", "meta.number;meta.file"),
    "mtime_ns": Definition(
        Kind.int64, "When the file was written, nanoseconds since 1970 (UTC)", None, "time.creation"
    ),
    "content_hash": Definition(Kind.text, "Checksum of the content of the file", ucd="meta.checksum"),
    "kind": Definition(
        Kind.text, "What the file is: spall, allvisit, allstar or catalog", ucd="meta.code.class"
    ),
    "rows": Definition(Kind.int64, "Number of rows in the file", ucd="meta.number"),
    "n_unmatched": Definition(
        Kind.int32, "Number of visits in the apStar file that are no visit spectra", ucd="meta.number"
    ),
}

BOOKKEEPING = COMPUTE | INGEST

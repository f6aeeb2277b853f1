"""The console logger of the jobs, and our own messages in the log of a step; Dagster's event log keeps everything."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg


class PlainFormatter(logging.Formatter):
    """One short line for each message: time, step, text; the run id and Dagster's event names are in the UI."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        meta = getattr(record, "dagster_meta", None) or {}
        step = meta.get("step_key") or ""
        text = what_happened(meta) or str(meta.get("orig_message") or record.getMessage())
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        line = f"{self.formatTime(record, '%H:%M:%S')} {step.replace('__', '/'):<32} {prefix}{text}"
        if record.exc_info and record.levelno >= logging.ERROR:
            line += "\n" + self.formatException(record.exc_info)
        return line


def what_happened(meta: Mapping[str, Any]) -> str | None:
    """The failure of a step in our words: its cause, or that something before it failed; None for any other event."""
    if str(meta.get("orig_message", "")).startswith("Dependencies for step"):
        return "not run, since a step that it needs has failed"
    event = meta.get("dagster_event")
    if event is None or not event.is_step_failure:
        return None
    failure = event.step_failure_data
    if failure.user_failure_data is not None:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return "failed" if error is None else f"failed: {error.message.strip()} (the traceback is in the web UI)"


class Forwarding(logging.Handler):
    """Passes records of our own modules on to the log of a step."""

    def __init__(self, to: logging.Logger) -> None:
        super().__init__()
        self.to = to

    def emit(self, record: logging.LogRecord) -> None:
        """Say the same in the log of the step."""
        self.to.log(record.levelno, record.getMessage())


@contextmanager
def heard(to: logging.Logger) -> Iterator[None]:
    """What our modules log inside, such as a task that is started again with more memory, is in the log of the step, too."""
    ours = logging.getLogger("astra_assets")
    handler, level = Forwarding(to), ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)
        ours.removeHandler(handler)


@dg.logger(
    config_schema={"log_level": dg.Field(str, default_value="INFO", is_required=False)},
    description="One short line for each message; Dagster's own events only from the chosen level on.",
)
def plain_console(context: dg.InitLoggerContext) -> logging.Logger:
    """The console logger of all jobs."""
    logger = logging.Logger("astra_assets.run")  # noqa: LOG001 - private to this run, never looked up by name
    logger.setLevel(context.logger_config["log_level"].upper())
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter())
    logger.addHandler(handler)
    return logger

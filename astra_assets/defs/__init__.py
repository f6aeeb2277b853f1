"""Every Dagster noun: assets, checks, jobs, schedules, sensors, resources, executors."""

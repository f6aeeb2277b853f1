"""Terminate in the web UI ends the array on the cluster; a restart of the web server and the daemon does not."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from astra_assets_tests.end_to_end.servers import served
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


class Ui:
    """What a person does in the web UI, asked of its GraphQL server."""

    def __init__(self, address: str):
        self.address = address

    def answer(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            content = json.load(response)
        assert "errors" not in content, content
        (answered,) = content["data"].values()
        return answered

    def launch(self, job: str) -> str:
        query = """mutation ($params: ExecutionParams!) {
            launchRun(executionParams: $params) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        selector = {
            "repositoryLocationName": "astra_assets",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        answered = self.answer(query, params={"selector": selector, "runConfigData": {}})
        assert answered["__typename"] == "LaunchRunSuccess", answered
        return answered["run"]["runId"]

    def terminate(self, run: str) -> None:
        answered = self.answer(
            "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }", run=run
        )
        assert answered["__typename"] == "TerminateRunSuccess", answered

    def status(self, run: str) -> str:
        return self.answer(
            "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }", run=run
        )["status"]

    def messages(self, run: str) -> str:
        """All that a run has said so far."""
        query = """query ($run: ID!) { logsForRun(runId: $run) {
            ... on EventConnection { events { ... on MessageEvent { message } } } } }"""
        return "\n".join(event.get("message", "") for event in self.answer(query, run=run)["events"])

    def wait_for(self, run: str, wanted: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (status := self.status(run)) != wanted:
            assert time.monotonic() < deadline, status
            assert status not in {"FAILURE", "SUCCESS"}, status
            time.sleep(0.5)


DEVELOPMENT = ("dagster", "dev", "--workspace", "workspace.yaml")
"""Web server and daemon as `make ui` starts them."""


@pytest.mark.timeout(1500)
def test_terminate_ends_the_array_and_a_restart_of_the_servers_does_not(
    slurm, arrays, small, cluster_settings
):
    slurm.drain(*NODES)
    with served(small, *DEVELOPMENT, **cluster_settings) as address:
        ui = Ui(address)
        run = ui.launch("few")
        slurm.wait_until(arrays, 240, "the first array")
        (first,) = arrays()
        ui.terminate(run)
        ui.wait_for(run, "CANCELED", 120)
        assert set(slurm.states(first)) == {"CANCELLED"}
        again = ui.launch("few")
        slurm.wait_until(lambda: len(arrays()) == 2, 240, "an array for the rest")
        (second,) = arrays().keys() - {first}
        ui.wait_for(again, "STARTED", 120)
    assert set(slurm.states(second)) == {"PENDING"}, "the servers are gone, the array is not"
    with served(small, *DEVELOPMENT, **cluster_settings) as address:
        ui = Ui(address)
        run = ui.launch("few")
        slurm.wait_until(lambda: "attached to batch" in ui.messages(run), 240, "the run that attaches")
        slurm.resume(*NODES)
        ui.wait_for(run, "SUCCESS", 400)
    mine = [number for number, name in arrays().items() if name.startswith("astra-mwm-star-")]
    assert sorted(mine, key=int) == [first, second]

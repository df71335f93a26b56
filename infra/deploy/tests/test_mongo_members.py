"""A MongoDB pod that restarts with wrong or missing DNS entries recovers by itself."""

import os
import signal
import time

import pytest
from mongo_pods import Dns, Pod, supervise_until


@pytest.fixture
def dns(tmp_path):
    dns = Dns(tmp_path)
    if not dns.is_used():
        missing = "libnss_wrapper.so is not installed: `apt-get install libnss-wrapper`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return dns


@pytest.fixture
def create(dns, tmp_path):
    """Creates the pods of a new replica set without starting them."""
    pods: list[Pod] = []

    def create(overlay, count):
        pods.extend(Pod(overlay, ordinal, dns, tmp_path) for ordinal in range(count))
        return pods

    yield create
    for pod in pods:
        if pod.is_running():
            pod.signal(signal.SIGKILL)
            pod.stop()


@pytest.fixture
def start(create):
    """Starts a replica set and waits until it has a primary."""

    def start(overlay, count):
        pods = create(overlay, count)
        for pod in pods:
            pod.start()
            pod.publish()
        supervise_until(lambda: _has_primary(pods), *pods)
        return pods

    return start


@pytest.fixture
def single_member(start):
    (pod,) = start("dev", 1)
    pod.client.orders.orders.insert_one({"_id": 1})
    return pod


@pytest.fixture
def removed(single_member, dns):
    """Started while DNS had its old address; DNS now has the new one."""
    single_member.stop()
    single_member.start(wait_for_name=False)
    _wait_until_removed(single_member)
    single_member.publish()
    return single_member


def _wait_until_removed(pod):
    deadline = time.monotonic() + 60
    while pod.state() != "removed":
        assert time.monotonic() < deadline, pod.log.read_text()[-2000:]
        time.sleep(0.05)


def _has_primary(pods):
    return sorted(pod.state() for pod in pods) == ["primary"] + ["secondary"] * (len(pods) - 1)


def _serves(pod):
    return pod.state() == "primary" and pod.client.orders.orders.find_one() == {"_id": 1}


def _logged(pod, text):
    return text in pod.log.read_text()


def test_restarted_member_waits_until_its_name_resolves_to_its_address(single_member):
    old = single_member.address
    single_member.stop()
    single_member.start()
    supervise_until(lambda: _logged(single_member, f"now it resolves to {old}"), single_member)
    assert single_member.state() == "down"
    single_member.publish()
    supervise_until(lambda: _serves(single_member), single_member)
    assert single_member.restarts == 0


@pytest.mark.nightly
def test_members_restarted_while_dns_is_down_elect_a_primary_once_it_is_back(start, dns):
    pods = start("prod", 3)
    for pod in pods:
        pod.stop()
    dns.clear()
    for pod in pods:
        pod.start()
    supervise_until(lambda: all(_logged(pod, "now it resolves to nothing") for pod in pods), *pods)
    for pod in pods:
        pod.publish()
    supervise_until(lambda: _has_primary(pods), *pods)


def test_member_waiting_for_its_name_fails_the_liveness_probe_and_stops_at_once(create):
    (pod,) = create("dev", 1)
    pod.start()
    supervise_until(lambda: _logged(pod, "now it resolves to nothing"), pod)
    assert not pod.probe("livenessProbe")
    assert pod.stop() == 128 + signal.SIGTERM


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_probe_restarts_a_removed_member_that_its_configuration_contains(removed, probe):
    removed.probe(probe)
    supervise_until(lambda: _serves(removed), removed)
    assert removed.restarts == 1


def test_probes_do_not_restart_a_member_that_was_removed_from_the_set(single_member):
    configuration = {"members.0.host": "orders-mongo-7.orders-mongo:27017"}
    single_member.client.local["system.replset"].update_one({}, {"$set": configuration})
    single_member.stop()
    single_member.start()
    single_member.publish()
    _wait_until_removed(single_member)
    assert not single_member.probe("startupProbe")
    assert single_member.probe("livenessProbe")
    assert single_member.state() == "removed"


def test_liveness_probe_needs_no_mongosh_and_passes_while_mongod_does_not_answer(single_member):
    single_member.remove_mongosh()
    assert single_member.probe("livenessProbe")
    single_member.signal(signal.SIGSTOP)
    succeeded = single_member.probe("livenessProbe")
    single_member.signal(signal.SIGCONT)
    assert succeeded
    assert _serves(single_member)

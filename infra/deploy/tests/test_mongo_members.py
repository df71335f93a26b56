"""A MongoDB pod that restarts serves again by itself, whatever its DNS says meanwhile."""

import os
import signal
import time

import pytest
from mongo_pods import Dns, Pod, tend_until


@pytest.fixture
def dns(tmp_path):
    dns = Dns(tmp_path)
    if not dns.is_in_control():
        missing = "libnss_wrapper.so is not installed: `apt-get install libnss-wrapper`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return dns


@pytest.fixture
def create(dns, tmp_path):
    """Pods of a new set, not started."""
    pods = []

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
    """Pods of a set that serves."""

    def start(overlay, count):
        pods = create(overlay, count)
        for pod in pods:
            pod.start()
            pod.publish()
        tend_until(lambda: _has_primary(pods), *pods)
        return pods

    return start


@pytest.fixture
def alone(start):
    (pod,) = start("dev", 1)
    pod.client.orders.orders.insert_one({"_id": 1})
    return pod


@pytest.fixture
def removed(alone, dns):
    """It was started in spite of its old address in DNS, which has the new one by now."""
    alone.stop()
    alone.start(wait_for_name=False)
    _wait_until_removed(alone)
    alone.publish()
    return alone


def _wait_until_removed(pod):
    deadline = time.monotonic() + 60
    while pod.state() != "removed":
        assert time.monotonic() < deadline, pod.log.read_text()[-2000:]
        time.sleep(0.05)


def _has_primary(pods):
    return sorted(pod.state() for pod in pods) == ["primary"] + ["secondary"] * (len(pods) - 1)


def _serves(pod):
    return pod.state() == "primary" and pod.client.orders.orders.find_one() == {"_id": 1}


def _says(pod, text):
    return text in pod.log.read_text()


def test_member_that_restarts_waits_until_its_name_resolves_to_its_address(alone):
    old = alone.address
    alone.stop()
    alone.start()
    tend_until(lambda: _says(alone, f"now it resolves to {old}"), alone)
    assert alone.state() == "down"
    alone.publish()
    tend_until(lambda: _serves(alone), alone)
    assert alone.restarts == 0


def test_members_that_restart_together_while_dns_is_down_serve_once_it_is_back(start, dns):
    pods = start("prod", 3)
    for pod in pods:
        pod.stop()
    dns.clear()
    for pod in pods:
        pod.start()
    tend_until(lambda: all(_says(pod, "now it resolves to nothing") for pod in pods), *pods)
    for pod in pods:
        pod.publish()
    tend_until(lambda: _has_primary(pods), *pods)


def test_member_that_waits_for_its_name_is_not_alive_yet_and_stops_at_once(create):
    (pod,) = create("dev", 1)
    pod.start()
    tend_until(lambda: _says(pod, "now it resolves to nothing"), pod)
    assert not pod.probe("livenessProbe")
    assert pod.stop() == 128 + signal.SIGTERM


@pytest.mark.parametrize("which", ["startupProbe", "livenessProbe"])
def test_probe_ends_a_mongod_that_is_removed_although_its_configuration_names_it(removed, which):
    removed.probe(which)
    tend_until(lambda: _serves(removed), removed)
    assert removed.restarts == 1


def test_probes_leave_a_member_that_was_taken_out_of_the_set(alone):
    configuration = {"members.0.host": "orders-mongo-7.orders-mongo:27017"}
    alone.client.local["system.replset"].update_one({}, {"$set": configuration})
    alone.stop()
    alone.start()
    alone.publish()
    _wait_until_removed(alone)
    assert not alone.probe("startupProbe")
    assert alone.probe("livenessProbe")
    assert alone.state() == "removed"


def test_liveness_probe_needs_no_mongosh_for_a_member_and_leaves_one_that_does_not_answer(alone):
    alone.remove_mongosh()
    assert alone.probe("livenessProbe")
    alone.signal(signal.SIGSTOP)
    succeeded = alone.probe("livenessProbe")
    alone.signal(signal.SIGCONT)
    assert succeeded
    assert _serves(alone)

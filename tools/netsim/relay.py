#!/usr/bin/env python3
"""A network of real packets on one machine: a namespace for every node, whose only link is a TUN device, and this
program between all of them, which delays packets, loses some, and keeps apart who is to be kept apart. It needs neither
`netem` nor rights to this machine's own network, but to make namespaces (root, or a user namespace).

    tools/netsim/relay.py --nodes 3 --latency-ms 100 --loss 1

Node 2 is the namespace n2 (`ip netns exec n2 ...`) with the address 10.2.0.1 and all of 10.2.0.0/16; each node is in a
network of its own. Whoever started this is 10.0.0.1 and reaches all of them, and is reached, at once and without loss.

Prints `ready` when all is there, and an answer to each line of standard input:

    shape LATENCY_MS LOSS_PERCENT   how packets travel from now on; those on their way keep their time
    cut 1,2 3                       no packet between the groups {1,2}, {3} and {all others}
    heal                            all reach all again
    stats                           a JSON object of counts
    addresses NODE IP...            NODE has these addresses, of 10.NODE.0.0/16, as well

At the end of standard input, and on SIGTERM, it removes what it has made and ends.
"""

import argparse
import collections
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 1500
# More nodes than the second byte of an address has.
MOST_NODES = 250
# Packets on their way: at 100 ms that is 600 MB/s. What is beyond is lost, as in any router.
MOST_PACKETS = 40_000
# Packets that one device may have at a time before the others have their turn.
TURN = 64

# Where ip(8) lies, and users' PATH may not lead.
os.environ["PATH"] = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"


def ip(*arguments, namespace=None):
    """Runs ip(8), in a namespace if one is named."""
    command = ["ip", *(["-n", namespace] if namespace else []), *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def open_tun(name):
    """Makes a TUN device and opens it: what is routed to the device is read, what is written arrives through it."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Links:
    """The namespaces and devices. Those that were made are removed by `remove`, whatever went wrong."""

    def __init__(self):
        self.namespaces = []
        self.descriptors = {}

    def make(self, nodes):
        """One device for whoever started this, number 0, and one for each node."""
        for node in range(nodes + 1):
            device = f"n{node}"
            self.descriptors[node] = open_tun(device)
            namespace = None
            if node > 0:
                namespace = device
                ip("netns", "add", namespace)
                self.namespaces.append(namespace)
                ip("link", "set", device, "netns", namespace)
                ip("link", "set", "lo", "up", namespace=namespace)
            ip("address", "add", f"10.{node}.0.1/16", "dev", device, namespace=namespace)
            ip("link", "set", device, "up", "mtu", str(MTU), "txqueuelen", "5000", namespace=namespace)
            route = "10.0.0.0/8" if node == 0 else "default"
            ip("route", "add", route, "dev", device, namespace=namespace)

    def remove(self):
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        for namespace in self.namespaces:
            try:
                ip("netns", "delete", namespace)
            except OSError as error:
                print(error, file=sys.stderr)


class Relay:
    """Packets between the devices."""

    def __init__(self, descriptors, latency_ms, loss_percent, seed):
        self.descriptors = descriptors
        self.nodes = {descriptor: node for node, descriptor in descriptors.items()}
        self.random = random.Random(seed)
        self.group = {}
        self.on_their_way = []
        self.number = 0
        self.counts = collections.Counter()
        self.shape(latency_ms, loss_percent)

    def shape(self, latency_ms, loss_percent):
        if latency_ms < 0 or not 0 <= loss_percent <= 100:
            raise ValueError("a latency of 0 or more and a loss of 0 to 100 are wanted")
        self.latency = latency_ms / 1000
        self.loss = loss_percent / 100

    def cut(self, groups):
        """Keeps groups of nodes apart, and from all that are in none."""
        group = {}
        for number, nodes in enumerate(groups, start=1):
            for node in nodes:
                if node not in self.descriptors or node == 0 or node in group:
                    raise ValueError(f"{node} is no node, or named twice")
                group[node] = number
        self.group = group

    def take(self, packet, source, now):
        """A packet that came out of a device."""
        # Neighbours of IPv6 are looked for on every device; nobody has it here.
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[16] != 10:
            return
        target = packet[17]
        if target not in self.descriptors:
            self.counts["unroutable"] += 1
        elif 0 in (source, target):
            self.deliver(target, packet)
        elif self.group.get(source, 0) != self.group.get(target, 0):
            self.counts["cut"] += 1
        elif self.loss > 0 and self.random.random() < self.loss:
            self.counts["lost"] += 1
        elif len(self.on_their_way) >= MOST_PACKETS:
            self.counts["overflowed"] += 1
        else:
            self.number += 1
            heapq.heappush(self.on_their_way, (now + self.latency, self.number, target, source, packet))

    def deliver(self, target, packet):
        try:
            os.write(self.descriptors[target], packet)
            self.counts["delivered"] += 1
        except OSError:
            # The device is down, or its queue is full.
            self.counts["refused"] += 1

    def deliver_due(self, now):
        """Delivers what has travelled long enough; how long the next one still has to, in seconds."""
        while self.on_their_way:
            due, _, target, source, packet = self.on_their_way[0]
            if due > now:
                return due - now
            heapq.heappop(self.on_their_way)
            # A cable that is cut takes with it what is on it.
            if self.group.get(source, 0) != self.group.get(target, 0):
                self.counts["cut"] += 1
                continue
            self.counts["late_ms"] = max(self.counts["late_ms"], int((now - due) * 1000))
            self.deliver(target, packet)
        return None

    def read(self, descriptor):
        source = self.nodes[descriptor]
        for _ in range(TURN):
            try:
                packet = os.read(descriptor, MTU + 64)
            except BlockingIOError:
                return
            self.take(packet, source, time.monotonic())

    def obey(self, line):
        """Does what a line says, and answers it."""
        verb, *words = line.split()
        if verb == "shape":
            latency_ms, loss_percent = words
            self.shape(float(latency_ms), float(loss_percent))
        elif verb == "cut":
            self.cut([[int(node) for node in word.split(",")] for word in words])
        elif verb == "heal":
            self.cut([])
        elif verb == "stats":
            return json.dumps({"on_their_way": len(self.on_their_way), **self.counts})
        elif verb == "addresses":
            node, *addresses = words
            if int(node) not in self.descriptors or not all(address.startswith(f"10.{node}.") for address in addresses):
                raise ValueError("a node, and addresses of its network, are wanted")
            for address in addresses:
                ip("address", "add", f"{address}/16", "dev", f"n{node}", namespace=f"n{node}")
        else:
            raise ValueError(f"there is no {verb}")
        return "ok"

    def run(self):
        """Relays until standard input ends."""
        orders = sys.stdin.fileno()
        os.set_blocking(orders, False)
        poll = select.epoll()
        poll.register(orders, select.EPOLLIN)
        for descriptor in self.nodes:
            poll.register(descriptor, select.EPOLLIN)
        text = b""
        while True:
            wait = self.deliver_due(time.monotonic())
            for descriptor, _ in poll.poll(wait):
                if descriptor != orders:
                    self.read(descriptor)
                    continue
                read = os.read(orders, 4096)
                if not read:
                    return
                *lines, text = (text + read).split(b"\n")
                for line in lines:
                    try:
                        answer = self.obey(line.decode())
                    except (ValueError, OSError) as error:
                        answer = f"error: {error}"
                    print(answer, flush=True)


def stop(*_):
    """As if standard input had ended."""
    raise SystemExit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=0, help="one way")
    parser.add_argument("--loss", type=float, default=0, help="packets of a hundred that are lost")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    arguments = parser.parse_args()
    if not 1 <= arguments.nodes <= MOST_NODES:
        parser.error(f"--nodes: 1 to {MOST_NODES}")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    links = Links()
    try:
        links.make(arguments.nodes)
        relay = Relay(links.descriptors, arguments.latency_ms, arguments.loss, arguments.seed)
        print("ready", flush=True)
        relay.run()
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        links.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())

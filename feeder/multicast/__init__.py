"""Packets on UDP multicast, both ways: the channel plan, the publisher, snapshots, receiving and line arbitration."""

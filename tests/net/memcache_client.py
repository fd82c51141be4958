# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets, reads back and deletes keys in a memcached: memcache_client.py HOST PORT KEYS

Four connections at a time; every value is compared with what was stored.
"""
import concurrent.futures
import socket
import sys

WORKERS = 4


def value_of(key):
    return (b"%d," % key) * (1 + key % 400)


def work(first):
    done = 0
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as sock:
        stream = sock.makefile("rwb")
        keys = range(first, int(sys.argv[3]), WORKERS)
        for key in keys:
            value = value_of(key)
            stream.write(b"set k%d 7 0 %d\r\n%b\r\n" % (key, len(value), value))
        stream.flush()
        for key in keys:
            assert stream.readline() == b"STORED\r\n", key
        for key in keys:
            stream.write(b"get k%d\r\n" % key)
            stream.flush()
            value = value_of(key)
            assert stream.readline() == b"VALUE k%d 7 %d\r\n" % (key, len(value)), key
            assert stream.read(len(value) + 2) == value + b"\r\n", key
            assert stream.readline() == b"END\r\n", key
            done += 1
        stream.write(b"delete k%d\r\nget k%d\r\n" % (first, first))
        stream.flush()
        assert stream.readline() == b"DELETED\r\n"
        assert stream.readline() == b"END\r\n"
    return done


with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
    print(sum(pool.map(work, range(WORKERS))))

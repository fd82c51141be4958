#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders in which a container's first process (c), its supervisor (s), its shim (h), graftd (g)
and dockerd (d) are killed: a line for each of the two of g and d, with N orders, or "all".

orders.py N SEED
"""
import itertools
import random
import sys

n, seed = sys.argv[1:]
random.seed(int(seed))
every = ["".join(order) for order in itertools.permutations("cshgd")]
for shared in ("gd", "dg"):
    orders = [o for o in every if o.index(shared[0]) < o.index(shared[1])]
    print(shared, *(orders if n == "all" else sorted(random.sample(orders, int(n)))))

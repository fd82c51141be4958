#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts visits in Redis, and writes each into PostgreSQL."""
import http.server

import psycopg2
import redis

PASSWORD = "of the example"


class Visit(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        visits = redis.Redis(host="cache", password=PASSWORD).incr("visits")
        with psycopg2.connect(host="db", dbname="shop", user="shop", password=PASSWORD) as db:
            with db.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS visits (visitor text)")
                cursor.execute("INSERT INTO visits VALUES (%s)", [self.headers["X-Visitor"]])
                cursor.execute("SELECT count(*) FROM visits")
                rows = cursor.fetchone()[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"visit {visits}, {rows} in the database\n".encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Visit).serve_forever()

"""Reads one query into Arrow with somebody else's reader, and prints rows and seconds."""

import sys
import time

peer, url, query = sys.argv[1:4]


def adbc():
    import adbc_driver_postgresql.dbapi as dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        began = time.monotonic()
        cursor.execute(query)
        # One batch after the other, as our reader hands them over; the whole table at once takes longer and more memory.
        rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        return rows, began


def connectorx(connections):
    import connectorx

    began = time.monotonic()
    parts = {} if connections == 1 else {"partition_on": "id", "partition_num": connections}
    table = connectorx.read_sql(url, query, return_type="arrow", protocol="binary", **parts)
    return table.num_rows, began


readers = {"adbc": adbc, "connectorx": lambda: connectorx(1), "connectorx2": lambda: connectorx(2)}
rows, began = readers[peer]()
print(rows, time.monotonic() - began)

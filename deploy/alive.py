"""Exits 0 when the server of this container answers."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(os.environ["REALMS_BIND"].rpartition(":")[2]), timeout=4)
connection.request("GET", "/livez")
sys.exit(connection.getresponse().status != 200)

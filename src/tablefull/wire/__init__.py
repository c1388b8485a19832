"""How bytes of packet captures become arrays; no socket and no file is opened in here."""

"""Scenes on the running kernel, in network namespaces of their own, where a full table can be lived through."""

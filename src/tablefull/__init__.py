"""tablefull: what ``nf_conntrack: table full, dropping packet`` means here, and the way out."""

__version__ = "0.1.0"

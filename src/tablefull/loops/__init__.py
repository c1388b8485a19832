"""How compiled code touches memory; what the loops of ``wire`` and ``twin`` share."""

"""From a finished sweep to a registered version, by rules that were given beforehand."""

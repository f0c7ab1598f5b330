"""Rigs of the functional tests: the real statweir, a scripted management point, raw clients."""

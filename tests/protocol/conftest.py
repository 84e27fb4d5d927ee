"""How hypothesis looks for examples: without a clock, since a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("without-a-clock", deadline=None)
settings.load_profile("without-a-clock")

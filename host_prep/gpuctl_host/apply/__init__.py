"""The only package that writes on a host.

Before-images are on disk before anything is changed, every step stands in a journal before it is made, and a run
that was killed anywhere is finished or taken back by the next one.
"""

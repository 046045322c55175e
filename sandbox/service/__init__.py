"""The reference service: a small detection API, built in variants that go wrong in a stated way."""

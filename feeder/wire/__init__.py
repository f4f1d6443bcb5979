"""The bytes: packets, messages, the SBE schema. The only files that know offsets."""

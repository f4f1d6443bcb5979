"""Pure book logic: the sorted book, the rules that keep it in step with the venue, its checksum."""

"""What a consumer imports: a subscriber, books that are right or say that they are not, recovery."""

"""What the typed endpoints give: one Struct per kind of entry, its attributes the venue's names in snake_case.

Amounts are Decimal and None where the venue sends "" or nothing; times are ms since the epoch. What the venue names,
such as a side or a status, is text: a new name must not make a whole reply unreadable. Fields that are not listed here
are in the raw reply.
"""

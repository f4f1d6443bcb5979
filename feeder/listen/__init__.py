"""The multicast listener: books, lists, statistics and JSON for whoever wants to look at a feed right now.

paint.py      lines of coloured text            decimals.py  numbers, ages and times as text
board.py      what all screens read, sampled    hints.py     what to check when nothing is heard
ladder.py  book_list.py  stats.py               painters without a terminal: state in, lines out
json_lines.py  roll_call.py  output.py          one object per event; --once; standard output that never blocks
screens.py                                      the painters on a terminal, with textual
options.py  cli.py                              flags, and what they start
"""

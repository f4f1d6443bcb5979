"""feeder: exact Bybit order books, republished as sequenced messages over UDP multicast."""

__version__ = "0.1.0"
